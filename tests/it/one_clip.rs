//! One video as plain data, by `lift::embed::clip`.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lift::embed::{EmbedSettings, Engine, ModelChoice, clip, reconstruct, run};
use lift::inputs::Input;
use lift::kernels::Backend;
use lift::rows::Part;
use lift::video::{Request, Window};
use lift::weights::{Family, WeightsSource};

use crate::env::TestEnv;

const PARTS: [Part; 3] = [Part::Concat, Part::Frames, Part::Reconstructed];

fn engine() -> Arc<Engine> {
    let choice = ModelChoice {
        family: Family::named("dinov2").unwrap(),
        encoder: WeightsSource::Mini,
        lift: WeightsSource::Mini,
        heads: None,
        offline: true,
        backend: Backend::best(),
        batched: None,
        threads: 2,
    };
    Arc::new(Engine::load(&choice, &PARTS).unwrap())
}

fn settings() -> EmbedSettings {
    EmbedSettings {
        request: Request::default(),
        parts: PARTS.to_vec(),
        normalize: false,
        threads: NonZeroUsize::new(2).unwrap(),
        timeout: None,
        pictures: None,
    }
}

fn input(env: &TestEnv, name: &str, end: Option<f64>) -> Input {
    Input { id: name.into(), path: env.path(name), end, ..Input::default() }
}

#[test]
fn a_clip_has_the_values_of_a_run_and_its_frames_as_pictures() {
    let (env, engine) = (TestEnv::new(), engine());
    env.clip("ball_rising.mp4", "ball.mp4");
    for end in [None, Some(0.7)] {
        let input = input(&env, "ball.mp4", end);
        let mut rows = Vec::new();
        let Ok(()) = run(std::iter::once(input.clone()), &engine, &settings(), &Arc::default(), |outcome| {
            rows.extend(outcome.result.unwrap().rows);
            Ok::<(), Infallible>(())
        });
        let window = Some(Window { length: 0.2, stride: 0.2 });
        let request = Request { window, ..settings().request };
        let settings = EmbedSettings { pictures: Some(64), request, ..settings() };
        let got = clip(&engine, &input, &settings).unwrap();
        for (part, values) in &rows[0].parts {
            assert_eq!(got.part(*part), values, "{part}");
        }
        assert_eq!(got.features.len(), 16 * engine.encoder().width());
        assert_eq!(reconstruct(&engine, &got.features).unwrap(), got.part(Part::Reconstructed));
        assert_eq!((got.pictures.len(), got.seconds.len()), (16, 16));
        assert!(got.pictures.iter().all(|picture| picture.width().max(picture.height()) == 64));
        assert!(got.seconds.is_sorted() && got.seconds[15] > 0.3, "{:?}", got.seconds);
        assert!(end.is_none_or(|end| got.seconds[15] <= end), "{:?}", got.seconds);
        assert!(clip(&engine, &input, &self::settings()).unwrap().pictures.is_empty());
    }
}

#[test]
fn a_clip_that_is_refused_says_why() {
    let (env, engine) = (TestEnv::new(), engine());
    env.clip("ball_rising.mp4", "ball.mp4");
    env.write("bad.mp4", b"no video");
    let failure = clip(&engine, &input(&env, "bad.mp4", None), &settings()).unwrap_err();
    assert_eq!((failure.stage.as_str(), failure.clip.id.as_str()), ("open", "bad.mp4"));
    let limited = Request { max_pixels: Some(100), ..Request::default() };
    let limited = EmbedSettings { request: limited, ..settings() };
    let failure = clip(&engine, &input(&env, "ball.mp4", None), &limited).unwrap_err();
    assert_eq!(failure.stage, "too large");
    assert!(failure.error.contains("--max-pixels"), "{}", failure.error);
}
