//! The frame encoders: held against the numbers of their makers' code, and used where LiFT's own is.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use lift::embed::batch::encode_clip;
use lift::kernels::{Backend, Isa, Precision};
use lift::model::composed::Batched;
use lift::model::device::ComputePlace;
use lift::model::encoder::FrameEncoder;
use lift::threads::IdleThreads;
use lift::video::RgbFrame;
use lift::video::transform::{Filter, Framing, Transform};
use lift::weights::{EncoderWeights, Family, WeightsSource, load_encoder};

use crate::common::{close, cosine, data, numbers, tensors};
use crate::env::TestEnv;
use crate::server::{Reply, Server};
use crate::weights_world::{COMMIT, told};

/// The families whose small models have their family's name.
const OTHERS: [&str; 2] = ["clip", "siglip"];

/// Every small model with its family and, where its file does not say them, its heads.
const MODELS: [(&str, &str, Option<usize>); 18] = [
    ("clip", "clip", None),
    ("siglip", "siglip", None),
    ("siglip2_p16_224", "siglip2", None),
    ("siglip2_p16_256", "siglip2", None),
    ("siglip2_p14_224", "siglip2", None),
    ("siglip2_p14_384", "siglip2", None),
    ("dinov2_facebook_plain", "dinov2", Some(3)),
    ("dinov2_facebook_registers", "dinov2", Some(3)),
    ("dinov2_facebook_gated", "dinov2", Some(3)),
    ("dinov2_timm_plain", "dinov2", Some(3)),
    ("dinov2_timm_gated", "dinov2", Some(3)),
    ("dinov2_transformers_plain", "dinov2", None),
    ("dinov2_transformers_registers", "dinov2", None),
    ("dinov2_transformers_gated", "dinov2", None),
    ("dinov3_transformers_plain", "dinov3", None),
    ("dinov3_transformers_gated", "dinov3", None),
    ("dinov3_timm_plain", "dinov3", Some(3)),
    ("dinov3_timm_gated", "dinov3", Some(3)),
];

/// The folder of a small model.
fn model(name: &str) -> PathBuf {
    data(&format!("encoders/{name}"))
}

fn load(name: &str, family: &str, heads: Option<usize>) -> EncoderWeights {
    load_encoder(Family::named(family).unwrap(), &WeightsSource::File(model(name)), heads, true).unwrap()
}

/// The pictures of the goldens' script, as the encoder wants them.
fn pictures(framing: Framing) -> Vec<Vec<u8>> {
    let noise = |width: usize, height: usize| -> Vec<u8> {
        let value = |i: usize| {
            let (x, y, c) = ((i / 3 % width) as u32, (i / 3 / width) as u32, (i % 3) as u32);
            let v = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ c.wrapping_mul(83_492_791);
            ((v ^ v >> 15).wrapping_mul(2_246_822_519) >> 16) as u8
        };
        (0..width * height * 3).map(value).collect()
    };
    let mut transform = Transform::new(framing);
    [(293, 240), (97, 131)]
        .map(|(width, height)| {
            transform.apply(&RgbFrame::new(width, height, width * 3, &noise(width, height)))
        })
        .into()
}

fn golden(name: &str) -> Vec<f32> {
    numbers(&tensors(model(name).join("features.safetensors"))["features"])
}

#[test]
fn features_are_those_of_the_makers_code_by_the_kernels_and_in_batches() {
    for (name, family, heads) in MODELS {
        let weights = load(name, family, heads);
        let (pictures, golden) = (pictures(weights.config().pictures.framing), golden(name));
        let fast = |backend| {
            let encoder = FrameEncoder::new(&weights, weights.config(), backend, 1).unwrap();
            pictures
                .iter()
                .flat_map(|picture| encoder.encode(picture, &IdleThreads::default()).unwrap())
                .collect::<Vec<_>>()
        };
        let batched = |dtype| {
            let how = Batched { place: ComputePlace::CpuBatched, dtype, frames: Some(2) };
            let encoder = FrameEncoder::in_batches(&weights, weights.config(), how).unwrap();
            encode_clip(encoder.batched().unwrap(), &pictures).unwrap()
        };
        close(&format!("{name} by the kernels"), &fast(Backend::best()), &golden, 2e-5);
        for backend in Isa::ALL.into_iter().filter_map(|isa| Backend::new(isa, Precision::Bf16x3).ok()) {
            close(&format!("{name} by {backend:?}"), &fast(backend), &golden, 1e-4);
        }
        close(&format!("{name} in batches"), &batched(DType::F32), &golden, 2e-5);
        let mut narrow =
            vec![("batches of bf16", batched(DType::BF16)), ("batches of f16", batched(DType::F16))];
        narrow.extend(Backend::best_in(Precision::Bf16).ok().map(|backend| ("bf16 kernels", fast(backend))));
        for (what, features) in narrow {
            let cosine = cosine(&features, &golden);
            println!("{name} in {what}: cosine {cosine:.6}");
            assert!(cosine > 0.999, "{name} in {what}: {cosine}");
        }
    }
}

#[test]
fn pictures_are_those_that_the_settings_ask_for_and_others_without_them() {
    let bicubic = |name: &str| load(name, "dinov3", Some(3)).config().pictures.framing;
    assert_eq!(
        bicubic("dinov3_timm_plain").to_string(),
        "the shorter side to 256 px, bicubic, then the middle 256 x 256"
    );
    assert_eq!(bicubic("dinov3_transformers_plain").to_string(), "both sides to 224 px, bilinear");
    // SigLIP 2's settings are obeyed under SigLIP's name; without them the name decides.
    let env = TestEnv::new();
    let weights = std::fs::read(model("siglip2_p16_224").join("model.safetensors")).unwrap();
    let file = env.write("alone/model.safetensors", &weights);
    let config = std::fs::read(model("siglip2_p16_224").join("config.json")).unwrap();
    env.write("alone/config.json", &config);
    let of = |family: &str, file: &PathBuf| {
        let source = WeightsSource::File(file.clone());
        load_encoder(Family::named(family).unwrap(), &source, None, true)
            .map(|weights| weights.config().pictures.framing.to_string())
            .map_err(|error| error.to_string())
    };
    let beside = model("siglip2_p16_224").join("model.safetensors");
    assert_eq!(of("siglip", &beside).unwrap(), "both sides to 224 px, bilinear");
    assert_eq!(of("siglip", &file).unwrap(), "both sides to 224 px, bicubic");
    assert_eq!(of("siglip2", &file).unwrap(), "both sides to 224 px, bilinear");
    // What is not supported, and what the positions do not fit, is refused by name.
    for (settings, said) in [
        (r#"{"image_processor_type": "SiglipImageProcessor", "resample": 1}"#, "resample 1 (lanczos)"),
        (r#"{"image_processor_type": "SiglipImageProcessor", "do_pad": true}"#, "do_pad"),
        (r#"{"image_processor_type": "SiglipImageProcessor", "size": 256}"#, "pictures are 256 x 256 px"),
        ("{", "does not say how pictures are made"),
    ] {
        env.write("alone/preprocessor_config.json", settings.as_bytes());
        let error = of("siglip2", &file).unwrap_err();
        assert!(error.contains("model.safetensors") && error.contains(said), "{error}");
    }
    // DINOv2's positions are resampled.
    let weights = std::fs::read(model("dinov2_transformers_plain").join("model.safetensors")).unwrap();
    let file = env.write("dinov2/model.safetensors", &weights);
    let settings =
        br#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 280}, "crop_size": 252}"#;
    env.write("dinov2/preprocessor_config.json", settings);
    let source = WeightsSource::File(file);
    let weights = load_encoder(Family::named("dinov2").unwrap(), &source, Some(3), true).unwrap();
    assert_eq!((weights.config().side(), weights.config().tokens()), (252, 1 + 18 * 18));
    assert!(weights.settings().unwrap().contains("252"));
}

#[test]
fn a_whole_siglip_2_without_settings_for_pictures_is_known_by_its_table_of_tokens() {
    let env = TestEnv::new();
    let file = env.path("model.safetensors");
    // The settings of the network are there, those of the pictures are not.
    let config = std::fs::read(model("siglip2_p16_224").join("config.json")).unwrap();
    env.write("config.json", &config);
    for (tokens, filter) in [(256_000, Filter::Bilinear), (32_000, Filter::Bicubic)] {
        let mut all = tensors(model("siglip2_p16_224").join("model.safetensors"));
        let prefixed = all.drain().map(|(name, tensor)| (format!("vision_model.{name}"), tensor));
        let mut all: HashMap<_, _> = prefixed.collect();
        let table = Tensor::zeros((tokens, 1), DType::F16, &Device::Cpu).unwrap();
        all.insert("text_model.embeddings.token_embedding.weight".into(), table);
        candle_core::safetensors::save(&all, &file).unwrap();
        let source = WeightsSource::File(file.clone());
        let weights = load_encoder(Family::named("siglip").unwrap(), &source, None, true).unwrap();
        assert_eq!(weights.config().pictures.framing.filter, filter);
    }
}

#[test]
fn a_model_of_another_family_size_or_without_settings_is_refused_in_words_that_fit() {
    let env = TestEnv::new();
    let refusal = |family: &str, path: PathBuf| {
        load_encoder(Family::named(family).unwrap(), &WeightsSource::File(path), None, true)
            .unwrap_err()
            .to_string()
    };
    let text = refusal("clip", model("siglip"));
    assert!(text.contains("those of a siglip instead") && text.contains("--encoder-weights"), "{text}");
    let text = refusal("siglip", data("golden/dinov2_tiny_random.safetensors"));
    assert!(text.contains("not the vision tower of a SigLIP"), "{text}");
    let text = refusal("dinov2", model("clip"));
    assert!(text.contains("--dinov2"), "{text}");

    let bytes = std::fs::read(model("clip").join("model.safetensors")).unwrap();
    let alone = env.write("alone/model.safetensors", &bytes);
    let text = refusal("clip", alone.clone());
    assert!(text.contains("config.json") && text.contains("put it there"), "{text}");
    let beside = |json: &str| {
        env.write("alone/config.json", json.as_bytes());
        refusal("clip", alone.clone())
    };
    for (json, said) in [
        ("{", "no model's settings"),
        (r#"{"model_type": "siglip"}"#, "a model of type siglip"),
        (r#"{"vision_config": {"hidden_act": "swish", "num_attention_heads": 3}}"#, "swish"),
        (r#"{"num_attention_heads": 5}"#, "5 heads do not divide the width 48"),
        (r#"{"num_attention_heads": 0}"#, "0 heads do not divide the width 48"),
    ] {
        let text = beside(json);
        assert!(text.contains(said), "{json}: {text}");
    }
}

/// `lift embed` of one clip's frames, as bytes of the array.
fn embedded(env: &TestEnv, name: &str, flags: &[&str]) -> Vec<u8> {
    let common = ["embed", "clip.mp4", "--parts", "frames", "-o", name];
    let ran = env.lift(&[&common[..], flags].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    std::fs::read(env.path(name)).unwrap()
}

#[test]
fn a_converted_tower_stands_by_itself_and_gives_the_same_bits() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "clip.mp4");
    for family in OTHERS {
        let folder = model(family).display().to_string();
        let whole =
            embedded(&env, "whole.npy", &["--encoder", family, "--encoder-weights", &folder, "--overwrite"]);
        let input = format!("{folder}/model.safetensors");
        let ran = env.lift(&["weights", "convert", &input, &format!("{family}.safetensors")]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let kept = tensors(env.path(&format!("{family}.safetensors")));
        assert!(!kept.keys().any(|name| name.contains("text_model") || name.contains("logit")), "{kept:?}");
        let file = format!("{family}.safetensors");
        let alone =
            embedded(&env, "alone.npy", &["--encoder", family, "--encoder-weights", &file, "--overwrite"]);
        assert!(whole == alone);
        // In LIFT_HOME under its name it is the published one.
        env.write(&format!("home/lift/{file}"), &std::fs::read(env.path(&file)).unwrap());
        let home = embedded(&env, "home.npy", &["--encoder", family, "--threads", "1", "--overwrite"]);
        assert!(whole == home);
        let ran = env.lift(&["weights", "verify", family]);
        assert!(ran.code == 0 && ran.stdout.contains("good"), "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn lift_reads_features_of_its_own_encoder_alone() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "clip.mp4");
    let folder = model("clip").display().to_string();
    let clip = ["--encoder", "clip", "--encoder-weights", &folder];
    let ran = env.lift(&[&["embed", "clip.mp4", "--model", "mini"][..], &clip].concat());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the frame encoder (clip) gives 32") && ran.stderr.contains("--parts frames")
    );
    let ran = env.lift(&["embed", "clip.mp4", "--encoder", "clip"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the published LiFT reads DINOv2's features")
            && ran.stderr.contains("--parts frames"),
        "{}",
        ran.stderr
    );
    let ran = env.lift(&["embed", "clip.mp4", "--model", "mini", "--encoder", "siglip", "--parts", "frames"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("bundled pair has no siglip"), "{}", ran.stderr);
    let ran = env.lift(&["embed", "clip.mp4", "--encoder", "siglip", "--parts", "frames"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("lift weights pull siglip --to DIR"), "{}", ran.stderr);
    let ran = env.lift(&["embed", "clip.mp4", "--encoder-weights", &folder, "--parts", "frames"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn a_dataset_of_clip_features_says_so_and_trains_a_lift_that_embeds_with_it() {
    let env = TestEnv::new();
    let ran = env.lift(&[
        "synth",
        "-o",
        "set",
        "-q",
        "--groups",
        "1",
        "--per-class",
        "2",
        "--valid-per-class",
        "1",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let folder = model("clip").display().to_string();
    let clip = ["--encoder", "clip", "--encoder-weights", &folder];
    let train = ["train", "set/clips", "-o", "run", "--epochs", "1", "--batch-size", "2", "-q"];
    let ran = env.lift(&[&train[..], &clip].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let embed = ["embed", "set/clips", "--lift", "run/best.safetensors", "-o", "out/", "-q"];
    let ran = env.lift(&[&embed[..], &clip].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let manifest = std::fs::read_to_string(env.path("out/_manifest.json")).unwrap();
    assert!(manifest.contains(r#""clip""#) && manifest.contains("quick_gelu"), "{manifest}");
    let siglip = model("siglip").display().to_string();
    let other = ["--encoder", "siglip", "--encoder-weights", &siglip, "--parts", "frames"];
    let ran = env.lift(&[&["embed", "set/clips", "-o", "out/", "-q"][..], &other].concat());
    assert!(ran.code != 0 && ran.stderr.contains("siglip"), "{}", ran.stderr);
}

#[test]
fn pull_brings_weights_and_settings_and_carries_the_tower_alone() {
    let bytes = |name: &str| std::fs::read(model("clip").join(name)).unwrap();
    let (weights, config) = (bytes("model.safetensors"), bytes("config.json"));
    let whole = weights.len();
    let server = Server::start(move |request| {
        let at = "/openai/clip-vit-base-patch32/resolve/refs%2Fpr%2F15";
        match request.path.strip_prefix(at) {
            // A small file's tag is git's, of 40 digits.
            Some("/config.json") => Reply::file(&config, request)
                .header("X-Repo-Commit", COMMIT)
                .header("ETag", format!("\"{}\"", "ab".repeat(20))),
            Some("/model.safetensors") => told(&weights, "/cdn/clip"),
            _ if request.path == "/cdn/clip" => Reply::file(&weights, request),
            _ => Reply::new(404),
        }
    });
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "clip.mp4");
    env.pull(&server.url, &["weights", "pull", "clip", "--to", "carry"]).code(0);
    let carried = env.path("carry/clip.safetensors");
    assert!(carried.metadata().unwrap().len() < whole as u64, "the texts' tower stays behind");
    let here = env.lift(&["weights", "list"]).code(0).stdout;
    assert!(here.contains("clip  ") && here.contains("refs/pr/15"), "{here}");
    let cached = embedded(&env, "cached.npy", &["--encoder", "clip"]);
    assert!(
        cached
            == embedded(
                &env,
                "carried.npy",
                &["--encoder", "clip", "--encoder-weights", "carry/clip.safetensors"]
            )
    );
    env.lift(&["weights", "rm", "clip"]).code(0);
    assert_eq!(env.lift(&["embed", "clip.mp4", "--encoder", "clip", "--parts", "frames"]).code, 3);
}

#[test]
fn a_lift_is_refused_with_another_encoder_than_it_was_trained_on() {
    let env = TestEnv::new();
    let few = ["--groups", "1", "--per-class", "2", "--valid-per-class", "1"];
    env.lift(&[&["synth", "-o", "set", "-q"][..], &few].concat()).code(0);
    let folder = |name: &str| model(name).display().to_string();
    let (plain, gated) = (folder("dinov3_transformers_plain"), folder("dinov3_transformers_gated"));
    let dinov3 = |weights: &str| ["--encoder", "dinov3", "--encoder-weights", weights].map(str::to_string);
    let with = |command: &[&str], flags: [String; 4]| {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        env.lift(&[command, &flags].concat())
    };
    let train = |output: &str, input: &str, flags| {
        with(&["train", input, "-o", output, "--epochs", "1", "--batch-size", "2", "-q"], flags).code(0);
    };
    train("run", "set/clips", dinov3(&plain));
    let embed = ["embed", "set/clips", "--lift", "run/best.safetensors", "-o", "out/", "-q"];
    with(&embed, dinov3(&plain)).code(0);
    // The same numbers in another file are the same encoder, rounded ones too.
    let file = format!("{plain}/model.safetensors");
    env.lift(&["weights", "convert", &file, "half.safetensors", "--dtype", "bf16"]).code(0);
    let embed = ["embed", "set/clips", "--lift", "run/best.safetensors", "-o", "half.npy", "-q"];
    with(&embed, dinov3("half.safetensors")).code(0);
    // Other weights of the same family and width are another one, and so are other pictures.
    let clip = env.path("set/clips").read_dir().unwrap().flatten().next().unwrap().path();
    let clip = clip.display().to_string();
    let bytes = std::fs::read(model("dinov3_transformers_plain").join("model.safetensors")).unwrap();
    env.write("other/model.safetensors", &bytes);
    let config = std::fs::read(model("dinov3_transformers_plain").join("config.json")).unwrap();
    env.write("other/config.json", &config);
    env.write(
        "other/preprocessor_config.json",
        br#"{"image_processor_type": "DINOv3ViTImageProcessor", "resample": 3}"#,
    );
    let benchmark =
        ["eval-cia", "--train", "set/cia-synth-train.csv", "--valid", "set/cia-synth-validation.csv"];
    for (flags, said) in [(dinov3(&gated), "dinov3_transformers_gated"), (dinov3("other"), "bicubic")] {
        for command in [
            &["embed", &clip, "--lift", "run/best.safetensors", "-o", "no.npy"][..],
            &["plot", &clip, "--lift", "run/best.safetensors", "-o", "no.png"],
            &["search", "out/", "--like", &clip, "--lift", "run/best.safetensors"],
            &[&benchmark[..], &["--videos", "set/clips", "--lift", "run/best.safetensors"]].concat(),
        ] {
            let ran = with(command, flags.clone());
            assert_eq!(ran.code, 3, "{command:?}: {}", ran.stderr);
            if command[0] == "search" {
                continue;
            }
            let named = ran.stderr.contains("was trained on the features of dinov3")
                && ran.stderr.contains("dinov3_transformers_plain")
                && ran.stderr.contains(said);
            assert!(named, "{command:?}: {}", ran.stderr);
        }
    }
    // Stored features say which encoder made them.
    let frames = ["embed", "set/clips", "--parts", "frames", "-o", "set.npz", "-q"];
    with(&frames, dinov3(&gated)).code(0);
    let ran = env.lift(&["probe", "--order", "--embeddings", "set.npz", "--lift", "run/best.safetensors"]);
    ran.code(3).says(&["was trained on the features of dinov3", "dinov3_transformers_gated"]);
    // A LiFT that is trained on a data set of features takes the encoder from its manifest.
    let features = ["embed", "set/clips", "--parts", "frames", "-o", "features/", "-q"];
    with(&features, dinov3(&plain)).code(0);
    train("again", "features/", dinov3(&plain));
    let embed = ["embed", &clip, "--lift", "again/best.safetensors", "-o", "again.npy"];
    with(&embed, dinov3(&plain)).code(0);
    let ran = with(&["embed", &clip, "--lift", "again/best.safetensors", "-o", "no.npy"], dinov3(&gated));
    assert!(ran.code == 3 && ran.stderr.contains("was trained on"), "{}", ran.stderr);
}

/// The bundled LiFT does not fit, and the published one is not there.
#[test]
fn a_benchmark_of_frames_alone_needs_no_lift() {
    let env = TestEnv::new();
    let few = ["--groups", "1", "--per-class", "2", "--valid-per-class", "1"];
    env.lift(&[&["synth", "-o", "set", "-q"][..], &few].concat()).code(0);
    let folder = model("dinov2_transformers_registers").display().to_string();
    let csv = ["--train", "set/cia-synth-train.csv", "--valid", "set/cia-synth-validation.csv"];
    let flags = ["--videos", "set/clips", "--dinov2", &folder, "--offline"];
    let run = |names: &str| env.lift(&[&["eval-cia", "--representation", names][..], &csv, &flags].concat());
    run("frames-mean,frames-concat").code(0);
    run("lift").code(3).says(&["the LiFT checkpoint"]);
}

#[test]
fn a_model_of_the_hub_is_asked_once_how_its_pictures_are_made_and_a_gated_one_not_without_a_token() {
    let bytes = |name: &str| std::fs::read(model("dinov3_timm_plain").join(name)).unwrap();
    let (weights, config) = (bytes("model.safetensors"), bytes("config.json"));
    let small = |body: &[u8], request: &_| {
        Reply::file(body, request)
            .header("X-Repo-Commit", COMMIT)
            .header("ETag", format!("\"{}\"", "ab".repeat(20)))
    };
    let server = Server::start(move |request| match request.path.as_str() {
        "/a/told/resolve/main/config.json" => small(&config, request),
        "/a/told/resolve/main/model.safetensors" | "/a/untold/resolve/main/model.safetensors" => {
            told(&weights, "/cdn/weights")
        }
        "/cdn/weights" => Reply::file(&weights, request),
        _ => Reply::new(404),
    });
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "clip.mp4");
    let embed = |id: &str, more: &[&str]| {
        let flags = ["embed", "clip.mp4", "--encoder", "dinov3", "--encoder-weights", id, "--heads", "3"];
        env.pull(
            &server.url,
            &[&flags[..], &["--parts", "frames", "-o", "x.npy", "--overwrite", "-v"], more].concat(),
        )
    };
    let ran = embed("a/told", &[]).code(0);
    assert!(ran.stderr.contains("config.json beside it asks for pictures"), "{}", ran.stderr);
    let ran = embed("a/untold", &[]).code(0);
    assert!(ran.stderr.contains("its pictures are made as dinov3 usually are"), "{}", ran.stderr);
    // Both need no network any more.
    embed("a/told", &["--offline"]).code(0);
    embed("a/untold", &["--offline"]).code(0);
    let listed = env.lift(&["weights", "list"]).code(0).stdout;
    assert!(
        listed.contains("a/told") && listed.contains("frames  the shorter side to 256 px, bicubic"),
        "{listed}"
    );
    assert!(listed.contains("frames  both sides to 224 px, bilinear"), "{listed}");
    let ran = env.pull(&server.url, &["embed", "clip.mp4", "--encoder", "dinov3", "--parts", "frames"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    for said in
        ["DINOv3 License", "HF_TOKEN", "facebook/dinov3-vits16-pretrain-lvd1689m", "nothing was fetched"]
    {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[test]
fn the_published_lift_reads_dinov2_with_registers_alone() {
    let env = TestEnv::new();
    env.clip("door_opening.mp4", "clip.mp4");
    let lift = std::fs::read(data("golden/lift_tiny.safetensors")).unwrap();
    env.write("home/lift/lift.safetensors", &lift);
    let registers = data("golden/dinov2_tiny_random.safetensors").display().to_string();
    let embed = ["embed", "clip.mp4", "--dinov2", &registers, "--heads", "3", "-o", "x.npy"];
    env.lift(&embed).code(0);
    let tensors = tensors(registers.clone().into());
    let without: HashMap<_, _> = tensors.into_iter().filter(|(name, _)| name != "reg_token").collect();
    candle_core::safetensors::save(&without, env.path("plain.safetensors")).unwrap();
    let ran =
        env.lift(&["embed", "clip.mp4", "--dinov2", "plain.safetensors", "--heads", "3", "-o", "y.npy"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("with 4 registers") && ran.stderr.contains("with 0 registers"),
        "{}",
        ran.stderr
    );
}
