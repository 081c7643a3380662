//! Key frames decoded by themselves: one packet in, one picture out, and nothing of what lies between is decoded.
//!
//! Each key frame gets an empty decoder, as after a seek, and the decoder is told that nothing follows, so it holds the picture back no
//! longer. A packet that gives no picture by itself (with intra refresh, the first one is not a whole picture) is left to a pass that
//! walks.

use ffmpeg_next::{Packet, decoder, frame};

use super::decode::{Pass, Walk, Want};
use super::error::VideoError;

impl Pass<'_> {
    /// Hands the key frames `wants` to `deliver`, in order. The walk's report is `lost` where one does not come out by itself.
    ///
    /// # Errors
    /// Those of `deliver`.
    pub(super) fn run_alone(
        &mut self,
        decoder: &mut decoder::Video,
        wants: &mut [Want],
        walk: &mut Walk,
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<(), VideoError> {
        let mut packet = Packet::empty();
        walk.report.jumped = true;
        for at in 0..wants.len() {
            let found =
                self.index.position(wants[at].key).is_some_and(|key| self.go_to(key, &mut packet, walk));
            if found {
                self.feed(decoder, &packet, wants, walk, deliver)?;
                if decoder.send_eof().is_ok() {
                    self.receive(decoder, wants, walk, deliver)?;
                }
                decoder.flush();
            }
            if !wants[at].done || walk.report.lost || walk.report.failure.is_some() {
                walk.report.lost = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the packet of the key frame at this decode position, over the packets before it or by a jump; false if it is not found.
    fn go_to(&mut self, key: usize, packet: &mut Packet, walk: &mut Walk) -> bool {
        if key < walk.position {
            return false;
        }
        let mut at = None;
        if self.costs.jump_unread(self.index, walk.position..key) {
            if !self.seek(key, packet, walk) {
                return false;
            }
            at = Some(walk.position);
        }
        while at != Some(key) {
            at = self.next_position(packet);
            if at.is_none_or(|at| at > key) {
                return false;
            }
        }
        self.begin_at(key, walk);
        true
    }
}
