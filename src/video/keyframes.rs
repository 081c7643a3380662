//! Key frames in place of the frames asked for: a key frame is decoded by itself, so nothing else of the file need be decoded.
//!
//! It is another choice of frames, and so another embedding. A clip or window of which fewer than two different frames would remain
//! keeps its exact frames, because one picture has no direction in time.

use super::index::Index;

/// Fewer different frames than this are no clip.
const LEAST: usize = 2;

/// Replaces each of `indices` by the nearest of `keys`, both ascending, by their times in `seconds`; of two that are equally near, by the
/// earlier one. Where `all` frames are asked for, all key frames are taken, each once. Returns how many different key frames these are; 0
/// if they are too few and the indices stay as they are.
pub fn replace(indices: &mut Vec<usize>, all: bool, seconds: &[f64], keys: &[usize]) -> usize {
    let nearest = |&index: &usize| {
        let after = keys.partition_point(|&key| key < index);
        let beside = [after.checked_sub(1), Some(after)].into_iter().flatten().filter_map(|at| keys.get(at));
        let distance = |key: &usize| (seconds[*key] - seconds[index]).abs();
        beside.copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    let replaced: Option<Vec<usize>> =
        if all { Some(keys.to_vec()) } else { indices.iter().map(nearest).collect() };
    let Some(replaced) = replaced else { return 0 };
    let different = replaced.chunk_by(|a, b| a == b).count();
    if different < LEAST {
        return 0;
    }
    *indices = replaced;
    different
}

/// What is said where key frames were asked for: of exact frames in their place, and of key frames that are taken more than once.
/// `key_frames` and `slots` are the numbers of different key frames and of slots of the clip, or of each of its windows.
pub fn note(key_frames: &[usize], slots: &[usize], in_windows: bool) -> Option<String> {
    let clips = key_frames.len();
    let exact = key_frames.iter().filter(|&&different| different == 0).count();
    let repeat = |(&different, &slots): (&usize, &usize)| different > 0 && different < slots;
    let repeats = key_frames.iter().zip(slots).filter(|&pair| repeat(pair)).count();
    match (in_windows, exact, repeats) {
        (_, 0, 0) => None,
        (false, 0, _) => {
            let (different, slots) = (key_frames[0], slots[0]);
            Some(format!("its {slots} frames are {different} different key frames (--keyframes)"))
        }
        (false, ..) => {
            let why = "fewer than 2 different key frames would be left";
            Some(format!("its exact frames are taken, because {why} (--keyframes)"))
        }
        (true, 0, _) => Some(format!("of its {clips} windows, {repeats} repeat key frames (--keyframes)")),
        (true, ..) => Some(format!(
            "of its {clips} windows, {exact} keep their exact frames, because fewer than 2 different key frames would be left, \
             and {repeats} repeat key frames (--keyframes)"
        )),
    }
}

impl Index {
    /// The key frames, by index in presentation order, ascending.
    pub fn key_frames(&self) -> Vec<usize> {
        let is_key = |&(_, at): &(usize, &u32)| self.keys.binary_search(at).is_ok();
        self.frames.iter().enumerate().filter(is_key).map(|(index, _)| index).collect()
    }
}
