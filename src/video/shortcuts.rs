//! Which pictures of a video need not be decoded, and which are decoded at once or by themselves.

use ffmpeg_next::frame;

use super::costs::Costs;
use super::decode::{By, Report, Strategy, Want};
use super::error::VideoError;
use super::groups::Groups;
use super::probe::VideoInfo;
use super::reader::Video;
use super::sample::Request;
use super::work::Work;

impl Video {
    /// Whether pictures that nothing refers to are left out.
    pub(super) fn skips(&self, strategy: Strategy, by: By) -> bool {
        let whole = self.probed.damage.is_none() && !self.demuxer.may_have_fields();
        whole && strategy != Strategy::Sequential && by == By::Time && self.probed.index.can_skip()
    }

    /// What decoding the pictures of this video costs.
    pub(super) fn costs(&self) -> Costs {
        let VideoInfo { width, height, .. } = self.probed.info;
        Costs::new(width as u64 * height as u64, &self.demuxer.container())
    }

    /// Whether the wanted frames are decoded by themselves: the request asks for key frames, and these are.
    pub(super) fn alone(&self, request: &Request, strategy: Strategy, wants: &[Want]) -> bool {
        let index = &self.probed.index;
        let is_key = |want: &Want| {
            index.position(want.key).is_some_and(|at| index.keys.binary_search(&(at as u32)).is_ok())
        };
        let usual = strategy == Strategy::Auto && self.skips(strategy, By::Time);
        request.keyframes && usual && !wants.is_empty() && wants.iter().all(is_key)
    }

    /// Several groups of pictures at once, where the request gives threads for them and the stream is as usual.
    pub(super) fn groups(
        &mut self,
        request: &Request,
        strategy: Strategy,
        wants: &mut [Want],
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<Option<Report>, VideoError> {
        let usual = strategy == Strategy::Auto && self.skips(strategy, By::Time);
        if request.groups < 2 || !usual {
            return Ok(None);
        }
        let VideoInfo { width, height, .. } = self.probed.info;
        let groups = Groups {
            path: &self.path,
            index: &self.probed.index,
            pixels: width as u64 * height as u64,
            max_pixels: request.max_pixels,
            costs: self.costs(),
            alone: self.alone(request, strategy, wants),
            threads: request.groups,
        };
        let Some((reports, bytes)) = groups.run(&mut self.demuxer, wants, deliver)? else { return Ok(None) };
        self.work.bytes += bytes;
        for report in &reports {
            self.record(report);
        }
        Ok(Some(Report { jumped: true, ..Report::default() }))
    }

    /// Adds a pass to the costs of this video, and its notes to the video's.
    pub(super) fn record(&mut self, report: &Report) {
        self.work.packets += report.fed;
        self.work.skipped += report.skipped;
        for note in report.notes.sentences() {
            if !self.probed.info.notes.contains(&note) {
                self.probed.info.notes.push(note);
            }
        }
    }

    /// What reading has cost since the file was opened.
    #[must_use]
    pub fn work(&self) -> Work {
        Work { bytes: self.work.bytes + self.demuxer.watch().bytes_read(), ..self.work }
    }
}
