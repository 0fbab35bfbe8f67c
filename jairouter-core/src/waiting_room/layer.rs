use std::sync::Arc;

use tower::Layer;

use super::room::Room;
use super::service::WaitingRoom;

/// Lets requests wait in a [`Room`] for the service inside, when it is busy.
#[derive(Debug, Clone)]
pub struct WaitingRoomLayer {
    room: Arc<Room>,
}

impl WaitingRoomLayer {
    /// They wait in this room.
    pub const fn new(room: Arc<Room>) -> Self {
        Self { room }
    }
}

impl<S> Layer<S> for WaitingRoomLayer {
    type Service = WaitingRoom<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WaitingRoom::new(inner, Arc::clone(&self.room))
    }
}
