//! BOTTOM HALF: let the engine see how the copy that runs has ended. Runs as a tasklet, after interrupts.

use std::sync::Arc;

use crate::engine::Engine;

pub(crate) struct BottomHalf {
    pub(crate) engine: Arc<Engine>,
}

impl BottomHalf {
    /// The tasklet's function. The bits say when to look; whether anything has ended, the engine asks the channel.
    pub(crate) fn run(&self) {
        self.engine.service();
    }
}
