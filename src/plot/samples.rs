//! Clips for the tests: made-up clips, and the authors' sample clips where `LIFT_SHARED` names their folder.

use super::{ClipPaths, Features};
use image::RgbImage;
use std::io::Read;
use std::path::PathBuf;

/// A made-up clip of `frames` frames of `width` x `height`: a bright bar that moves, features on a bent path, a
/// reconstruction on a straighter one.
pub(crate) fn made_up(title: &str, frames: usize, (width, height): (u32, u32)) -> ClipPaths {
    let rows = |bend: f64| {
        let values = (0..frames).flat_map(|t| {
            let time = t as f64 / (frames.max(2) - 1) as f64;
            (0..24).map(move |d| {
                let phase = f64::from(d) * 0.7;
                (4.0 * time * phase.cos() + bend * (6.0 * time + phase).sin()) as f32
            })
        });
        Features::new(24, values.collect()).unwrap()
    };
    let picture = |t: usize| {
        RgbImage::from_fn(width, height, |x, y| {
            let bar = (t as u32 * width) / frames as u32;
            let shade = (y * 200 / height) as u8;
            if x.abs_diff(bar) < width / 8 {
                image::Rgb([250, 200, 40])
            } else {
                image::Rgb([30, shade, 120])
            }
        })
    };
    ClipPaths {
        title: title.to_string(),
        frames: (0..frames).map(picture).collect(),
        features: rows(1.5),
        reconstructed: rows(0.2),
    }
}

/// A clip whose frames are all the same.
pub(crate) fn still() -> ClipPaths {
    let mut clip = made_up("A still", 16, (120, 90));
    for part in [&mut clip.features, &mut clip.reconstructed] {
        let row: Vec<f32> = part.rows().next().unwrap().to_vec();
        *part = Features::new(row.len(), row.repeat(16)).unwrap();
    }
    clip.frames = vec![clip.frames[0].clone(); 16];
    clip
}

/// The folder of goldens; if it is not given, prints that the test is skipped.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("LIFT_SHARED").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: LIFT_SHARED is not set");
    }
    folder
}

/// A sample clip with the features and the reconstruction of the full-size golden models.
pub(crate) fn sample(name: &str, title: &str) -> Option<ClipPaths> {
    let golden = shared()?.join("golden");
    let bytes = std::fs::read(golden.join(format!("full_{name}_16.safetensors"))).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let part = |name: &str| {
        let data = file.tensor(name).unwrap().data().as_chunks().0;
        Features::new(384, data.iter().map(|b| f32::from_le_bytes(*b)).collect()).unwrap()
    };
    Some(ClipPaths {
        title: title.to_string(),
        frames: npz_frames(&golden.join(format!("frames_{name}_16.npz"))),
        features: part("dino"),
        reconstructed: part("lift_reconstructed"),
    })
}

/// `frames.npy` of an archive, `(T, H, W, 3)` u8.
fn npz_frames(path: &std::path::Path) -> Vec<RgbImage> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name("frames.npy").unwrap().read_to_end(&mut bytes).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..10 + header]).into_owned();
    let shape = text.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0.to_string();
    let shape: Vec<usize> = shape.split(',').map(|n| n.trim().parse().unwrap()).collect();
    let size = shape[1] * shape[2] * 3;
    bytes[10 + header..]
        .chunks_exact(size)
        .map(|frame| RgbImage::from_raw(shape[2] as u32, shape[1] as u32, frame.to_vec()).unwrap())
        .collect()
}
