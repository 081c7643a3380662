//! The threads that serve a device: its lanes encode frames in batches, and other threads run LiFT on the clips that the
//! lanes have completed, so that a lane never waits for LiFT.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::work::{ClipWork, Job};
use super::worker::{NO_THREAD, ReportEnd, Shared, start};
use crate::guard::lock;

/// A clip and its features, on their way to LiFT.
type Complete = (Arc<ClipWork<Job>>, Vec<f32>);

impl Shared {
    /// Starts the threads that serve the device, if there is one, and returns how many there are.
    pub(super) fn serve_device(self: &Arc<Self>, threads: usize) -> usize {
        let Some(encoder) = self.engine.encoder().batched() else { return 0 };
        let (complete, completed) = channel();
        let lane = |&lane: &usize| {
            let (shared, complete) = (self.clone(), complete.clone());
            start(move || shared.lane(lane, &complete))
        };
        let lanes = (0..encoder.lanes().len()).take_while(lane).count();
        let completed = Arc::new(Mutex::new(completed));
        let finisher = |_: &usize| {
            let (shared, completed) = (self.clone(), completed.clone());
            start(move || shared.finish_clips(&completed))
        };
        let finishers = (0..threads).take_while(finisher).count();
        assert!(lanes > 0 && finishers > 0, "{NO_THREAD}");
        lanes + finishers
    }

    /// The life of a lane of the device.
    fn lane(&self, lane: usize, complete: &Sender<Complete>) {
        let _end = ReportEnd { shared: self, slot: None };
        let lane = self.engine.encoder().batched().and_then(|encoder| encoder.lanes().get(lane));
        let (Some(lane), Some(batches)) = (lane, &self.batches) else { return };
        batches.serve(lane, |work, feature| match feature {
            Ok(feature) => {
                if let Some(features) = work.store(feature) {
                    // The receivers are only gone when the run is over.
                    let _ = complete.send((work.clip.clone(), features));
                }
            }
            Err(why) => self.fail_frames(&work, why.to_string()),
        });
    }

    /// The life of a thread that runs LiFT on the clips that the lanes have completed.
    fn finish_clips(&self, completed: &Mutex<Receiver<Complete>>) {
        let _end = ReportEnd { shared: self, slot: None };
        loop {
            let next = lock(completed).recv();
            let Ok((clip, features)) = next else { return };
            self.finish(&clip.item, features);
        }
    }
}
