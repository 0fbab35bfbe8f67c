use super::*;

#[test]
fn an_error_is_one_pointer_wide() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
}

#[test]
fn a_boxed_error_of_ours_comes_back_as_itself() {
    let boxed: BoxError = Box::new(Error::new(Kind::Busy, "busy"));
    assert_eq!(Error::from(boxed).kind(), Kind::Busy);
    let foreign: BoxError = "socket".into();
    assert_eq!(Error::from(foreign).kind(), Kind::Broken);
}

#[test]
fn only_what_no_instance_can_do_now_falls_back() {
    let table = [
        (Kind::Invalid, false),
        (Kind::Unsupported, false),
        (Kind::TooLarge, false),
        (Kind::SlowRequest, false),
        (Kind::NoEndpoint, false),
        (Kind::BadMethod, false),
        (Kind::BadMediaType, false),
        (Kind::NoModel, false),
        (Kind::Unauthorized, false),
        (Kind::Forbidden, false),
        (Kind::RateLimited, false),
        (Kind::Busy, true),
        (Kind::BreakerOpen, true),
        (Kind::NoInstance, true),
        (Kind::Overloaded, true),
        (Kind::Unreachable, true),
        (Kind::Broken, true),
        (Kind::Stalled, false),
        (Kind::Timeout, true),
        (Kind::Failed, true),
        (Kind::UpstreamAuth, true),
        (Kind::ModelAbsent, false),
        (Kind::Rejected, false),
        (Kind::Internal, false),
    ];
    for (kind, falls_back) in table {
        assert_eq!(kind.may_fall_back(), falls_back, "{kind:?}");
    }
}

#[test]
fn a_bad_request_neither_fails_over_nor_blames_the_instance() {
    for status in [400, 409, 413, 422, 418] {
        let kind = Kind::of_status(StatusCode::from_u16(status).unwrap()).unwrap();
        assert!(!kind.may_fail_over() && !kind.blames_instance(), "{status}");
    }
    assert_eq!(Kind::of_status(StatusCode::OK), None);
    let busy = Kind::of_status(StatusCode::TOO_MANY_REQUESTS).unwrap();
    assert!(busy.may_fail_over() && !busy.blames_instance());
}
