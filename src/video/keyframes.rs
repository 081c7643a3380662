//! Key frames in place of the frames asked for: a key frame is decoded by itself, so nothing else of the file need be.
//!
//! It is another choice of frames, and so another embedding. A clip or window of which fewer than two different frames would remain
//! keeps its exact frames, because one picture has no direction in time.

use super::index::Index;
use super::sample::Chosen;

/// Fewer different frames than this are no clip.
const LEAST: usize = 2;

/// Replaces each of `indices` by the nearest of `keys`, both ascending, by their times in `seconds`; of two that are as near, by the
/// earlier. Where `all` frames are asked for, all key frames are taken, each once. Returns how many different key frames these are; 0
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

impl Chosen {
    /// What is said where key frames were asked for: of exact frames in their place, and of key frames that are taken more than once.
    pub fn key_notes(&self) -> Option<String> {
        let clips = self.key_frames.len();
        let exact = self.key_frames.iter().filter(|&&different| different == 0).count();
        let windows = self.windows.iter().map(|window| window.slots.len());
        let slots: Vec<usize> =
            if self.windows.is_empty() { vec![self.indices.len()] } else { windows.collect() };
        let repeat = |(&different, &slots): (&usize, &usize)| different > 0 && different < slots;
        let repeats = self.key_frames.iter().zip(&slots).filter(|&pair| repeat(pair)).count();
        match (self.windows.is_empty(), exact, repeats) {
            (_, 0, 0) => None,
            (true, 0, _) => {
                let (different, slots) = (self.key_frames[0], self.indices.len());
                Some(format!("its {slots} frames are {different} different key frames (--keyframes)"))
            }
            (true, ..) => {
                let why = "fewer than 2 different key frames would be left";
                Some(format!("its exact frames are taken, because {why} (--keyframes)"))
            }
            (false, 0, _) => {
                Some(format!("of its {clips} windows, {repeats} repeat key frames (--keyframes)"))
            }
            (false, ..) => Some(format!(
                "of its {clips} windows, {exact} keep their exact frames, because fewer than 2 different key frames would be left, \
                 and {repeats} repeat key frames (--keyframes)"
            )),
        }
    }
}

impl Index {
    /// The key frames, by index in presentation order, ascending.
    pub fn key_frames(&self) -> Vec<usize> {
        let is_key = |&(_, at): &(usize, &u32)| self.keys.binary_search(at).is_ok();
        self.frames.iter().enumerate().filter(is_key).map(|(index, _)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Request, Sampling, Window};
    use super::*;

    fn times(len: usize) -> Vec<f64> {
        (0..len).map(|i| i as f64 / 10.0).collect()
    }

    fn chosen(request: &Request, len: usize, keys: &[usize]) -> Chosen {
        request.choose(&times(len), 10.0, keys).unwrap()
    }

    #[test]
    fn each_frame_becomes_the_nearest_key_frame_and_of_two_the_earlier() {
        let request = Request { sampling: Sampling::Count(5), keyframes: true, ..Request::default() };
        // Exact: 0, 10, 20, 30, 40; 20 lies in the middle of 14 and 26.
        let five = chosen(&request, 41, &[0, 14, 26, 39]);
        assert_eq!((five.indices.clone(), five.key_frames.clone()), (vec![0, 14, 14, 26, 39], vec![4]));
        assert!(five.key_notes().unwrap().contains("5 frames are 4 different key frames"));
        let mut reversed = chosen(&Request { reverse: true, ..request.clone() }, 41, &[0, 14, 26, 39]);
        reversed.indices.reverse();
        assert_eq!(reversed, five);
        let each = chosen(&request, 41, &[0, 10, 20, 30, 40]);
        assert_eq!((each.key_frames.clone(), each.key_notes()), (vec![5], None));
        let all = Request { sampling: Sampling::All, ..request };
        assert_eq!(chosen(&all, 41, &[0, 14, 26, 39]).indices, [0, 14, 26, 39]);
    }

    #[test]
    fn exact_frames_are_taken_where_fewer_than_two_key_frames_would_be() {
        let request = Request { sampling: Sampling::Count(3), keyframes: true, ..Request::default() };
        for keys in [&[][..], &[0], &[20]] {
            let exact = chosen(&request, 41, keys);
            assert_eq!((exact.indices.clone(), exact.key_frames.clone()), (vec![0, 20, 40], vec![0]));
            assert!(exact.key_notes().unwrap().contains("exact frames are taken"));
        }
        // Key frames outside of the range are none of the clip's.
        let part = Request { start: Some(1.0), end: Some(2.0), ..request };
        assert_eq!(chosen(&part, 41, &[0, 9, 21]).indices, [10, 15, 20]);
        let plain = Request { keyframes: false, ..part };
        assert_eq!(
            (chosen(&plain, 41, &[10, 20]).key_frames, chosen(&plain, 41, &[]).key_notes()),
            (vec![], None)
        );
    }

    #[test]
    fn windows_have_their_own_key_frames() {
        let window = Some(Window { length: 2.0, stride: 2.0 });
        let request = Request { sampling: Sampling::Count(3), keyframes: true, window, ..Request::default() };
        let two = chosen(&request, 41, &[0, 18, 30]);
        assert_eq!((two.indices.clone(), two.key_frames.clone()), (vec![0, 18, 18, 20, 30, 40], vec![2, 0]));
        let said = two.key_notes().unwrap();
        assert!(said.contains("of its 2 windows, 1 keep") && said.contains("1 repeat"), "{said}");
    }
}
