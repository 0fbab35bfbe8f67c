//! What instances are called that were given no `instance-id`.
//!
//! It says for people what is where, and no other instance is called the same. It stays the same
//! when the file's other instances change, but for those at the same place under the same name.

use std::collections::{HashMap, HashSet};

use percent_encoding::{CONTROLS, utf8_percent_encode};

use super::types::{Instance, Models, Service};

/// The name, if it has one, and the place, in ASCII: it travels in a header.
pub(super) fn plain(models: &Models, authority: &str) -> String {
    match models.given() {
        [one] => format!("{}@{authority}", utf8_percent_encode(&one.name, CONTROLS)),
        _ => authority.to_owned(),
    }
}

/// What makes two instances of a service the same.
pub(super) fn identity(instance: &Instance) -> (Vec<Box<str>>, String, Option<String>) {
    let place = match instance.target.scheme() {
        "http" | "https" => {
            let host = instance.target.authority().as_str();
            instance.target.to_string().replacen(host, &host.to_lowercase(), 1)
        }
        _ => instance.base_url.clone(),
    };
    let names = instance.models.given().iter().map(|model| model.name.clone()).collect();
    (names, place, instance.path.as_ref().map(|(_, path)| path.clone()))
}

/// Calls every instance something.
pub(super) fn complete(services: &mut [Service]) {
    let all = services.iter().flat_map(|service| &service.instances);
    let mut ids: HashSet<String> = all.map(|instance| instance.id.clone()).collect();
    let mut numbers = HashMap::new();
    for service in services {
        let kind = service.service_type;
        for instance in service.instances.iter_mut().filter(|instance| instance.id.is_empty()) {
            let plain = plain(&instance.models, instance.target.authority().as_str());
            let path = instance.path.as_ref().map_or("", |(_, path)| path);
            let long = format!("{kind}/{plain}{path}");
            let candidates = [plain.clone(), format!("{kind}/{plain}"), long];
            let free = candidates.into_iter().find(|id| !ids.contains(id));
            instance.id = free.unwrap_or_else(|| numbered(&plain, &ids, &mut numbers));
            ids.insert(instance.id.clone());
        }
    }
}

/// The next number that is free behind this name.
fn numbered(plain: &str, ids: &HashSet<String>, numbers: &mut HashMap<String, usize>) -> String {
    let number = numbers.entry(plain.to_owned()).or_insert(1);
    loop {
        *number += 1;
        let id = format!("{plain}#{number}");
        if !ids.contains(&id) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use jairouter_core::ServiceType;

    use super::super::types::{Balance, BalanceKind};
    use super::*;
    use crate::config::adapters::Adapter;

    fn service(kind: ServiceType, instances: &[(&str, &str, &str)]) -> Service {
        let mut service = Service::new(kind, Balance::new(BalanceKind::Random));
        for (name, url, id) in instances {
            let mut instance =
                Instance::new(Models::one(name), Adapter::default().backend, url).unwrap();
            instance.id = (*id).to_owned();
            service.instances.push(instance);
        }
        service
    }

    fn ids(mut services: Vec<Service>) -> Vec<String> {
        complete(&mut services);
        services.into_iter().flat_map(|service| service.instances).map(|one| one.id).collect()
    }

    #[test]
    fn each_instance_is_called_by_its_name_and_place_and_none_like_another() {
        let chat = [("m", "http://h:1", ""), ("m", "http://h:1/b", ""), ("m", "http://h:1/c", "")];
        let embedding = [("m", "http://h:1", ""), ("ä", "http://h:1", ""), ("n", "http://h:1", "")];
        let services =
            vec![service(ServiceType::Chat, &chat), service(ServiceType::Embedding, &embedding)];
        let expected = ["m@h:1", "chat/m@h:1", "m@h:1#2", "embedding/m@h:1", "%C3%A4@h:1", "n@h:1"];
        assert_eq!(ids(services), expected);
    }

    #[test]
    fn a_given_id_is_kept_and_nobody_else_gets_it() {
        let chat = [("m", "http://h:1", ""), ("m", "http://g:1", "m@h:1")];
        assert_eq!(ids(vec![service(ServiceType::Chat, &chat)]), ["chat/m@h:1", "m@h:1"]);
    }
}
