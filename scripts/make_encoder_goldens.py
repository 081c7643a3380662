#!/usr/bin/env python3
"""Makes the small frame encoders that the tests load, and the features that their makers' code computes with them.

    PYTHONPATH=DIR python3 scripts/make_encoder_goldens.py tests/data/encoders [NAME ...]

needs torch, transformers (5), timm, safetensors, Pillow and numpy, and in DIR the package dinov2 of facebookresearch/dinov2.

`clip/` and `siglip/` have width 48. `clip/` is saved like a whole CLIPModel (without its text tower, except for one tensor), and
`siglip/` is an image tower alone. The others have width 24 and numbers that f16 holds: `siglip2_*` by patch and picture, `dinov2_*` and
`dinov3_*` by whose names and code they are of. The weights have a larger spread than at initialisation, so that every part of the network
changes the result. `features.safetensors` has `features (2, D)` of two pictures of noise (the formula of make_transform_golden.py),
computed in f64 and rounded to f32: get_image_features of CLIP and SigLIP, the class token of the others. Settings are beside the weights
as each publisher writes them.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from make_transform_golden import noise, shorter, squashed
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, SiglipVisionConfig, SiglipVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

SIZES = [(293, 240), (97, 131)]
SHAPE = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=3, image_size=224, patch_size=16)


def draw(model):
    """Weights as large as trained ones, norms away from the identity."""
    generator = torch.Generator().manual_seed(11)
    for name, parameter in model.named_parameters():
        scale = 0.3 if parameter.dim() < 2 else 1.5 / parameter[0].numel() ** 0.5
        parameter.data = scale * torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1


def features(model, processor):
    pictures = [Image.fromarray(noise(width, height)) for width, height in SIZES]
    pixels = torch.cat([processor(picture, return_tensors="pt")["pixel_values"] for picture in pictures])
    with torch.no_grad():
        if isinstance(model, CLIPModel):
            return model.get_image_features(pixels.double()).pooler_output
        return model(pixels.double()).pooler_output


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALVES = ([0.5] * 3, [0.5] * 3)


def normalised(way, statistics):
    """The pictures as f64 `(2, 3, S, S)`."""
    mean, std = (np.array(three) for three in statistics)
    pictures = [(way(noise(width, height)) / 255 - mean) / std for width, height in SIZES]
    return torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2)


def small(folder, name, model, read, pixels, settings, tensors=None):
    """Draws a model's numbers, and keeps them with the features that `read` gives and the settings, each in its file."""
    draw(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    kept = folder / name
    kept.mkdir(parents=True, exist_ok=True)
    if tensors is None:
        tensors = model.state_dict()
    save_file({key: value.half().contiguous() for key, value in tensors.items()}, kept / "model.safetensors", metadata={"format": "pt"})
    for file, text in settings.items():
        (kept / file).write_text(json.dumps(text, indent=2) + "\n" if not isinstance(text, str) else text)
    model.double()
    with torch.no_grad():
        answer = read(model, pixels)
    save_file({"features": answer.float().contiguous()}, kept / "features.safetensors")
    print(name, tuple(answer.shape), f"std {answer.std():.3f}")


def siglip2(folder, wanted):
    for name, patch, side in [("p16_224", 16, 224), ("p16_256", 16, 256), ("p14_224", 14, 224), ("p14_384", 14, 384)]:
        if wanted(f"siglip2_{name}"):
            config = SiglipVisionConfig(hidden_size=24, intermediate_size=44, num_hidden_layers=1, num_attention_heads=2, image_size=side, patch_size=patch)
            # As published, but for what does not change pixels.
            processor = SiglipImageProcessorPil(resample=2, size={"height": side, "width": side})
            pixels = normalised(lambda picture: squashed(picture, side, Image.BILINEAR), HALVES)
            theirs = processor(Image.fromarray(noise(*SIZES[0])), return_tensors="pt")["pixel_values"].double()
            assert (theirs - pixels[:1]).abs().max() < 1e-6
            settings = {"image_processor_type": "SiglipImageProcessor", "do_convert_rgb": None, "do_resize": True, "do_rescale": True, "do_normalize": True,
                        "size": {"height": side, "width": side}, "resample": 2, "rescale_factor": 1 / 255, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
            files = {"config.json": config.to_json_string(), "preprocessor_config.json": settings}
            small(folder, f"siglip2_{name}", SiglipVisionModel(config).eval(), lambda model, pixels: model(pixels).pooler_output, pixels, files)


def dinov2(folder, wanted):
    import timm
    from dinov2.models.vision_transformer import DinoVisionTransformer
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    # The positions are for 20 x 20 patches, so that they are resampled to 16 x 16.
    shape = dict(patch_size=14, num_heads=3, depth=1, embed_dim=24)
    lift = normalised(lambda picture: shorter(picture, 256, 224, Image.BICUBIC, round), IMAGENET)
    for name, more in [("plain", {}), ("registers", dict(num_register_tokens=4, interpolate_antialias=True, interpolate_offset=0.0)), ("gated", dict(ffn_layer="swiglufused"))]:
        if wanted(f"dinov2_facebook_{name}"):
            # As its hub's entry points make them.
            kinds = dict(init_values=1.0, block_chunks=0, ffn_layer="mlp", num_register_tokens=0, interpolate_antialias=False, interpolate_offset=0.1) | more
            model = DinoVisionTransformer(img_size=280, mlp_ratio=2, **shape, **kinds).eval()
            small(folder, f"dinov2_facebook_{name}", model, lambda model, pixels: model(pixels), lift, {})
    for name, model, more in [("plain", "vit_small_patch14_dinov2", {}), ("gated", "vit_giant_patch14_reg4_dinov2", {})]:
        if wanted(f"dinov2_timm_{name}"):
            model = timm.create_model(model, img_size=280, mlp_ratio=2, dynamic_img_size=True, num_classes=0, **shape, **more).eval()
            small(folder, f"dinov2_timm_{name}", model, lambda model, pixels: model(pixels), lift, {})
    # With their own pictures, whose middle is found in another way.
    own = normalised(lambda picture: shorter(picture, 256, 224, Image.BICUBIC, int), IMAGENET)
    settings = {"image_processor_type": "BitImageProcessor", "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True,
                "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": IMAGENET[0], "image_std": IMAGENET[1], "resample": 3,
                "rescale_factor": 1 / 255, "size": {"shortest_edge": 256}}
    shape = dict(hidden_size=24, num_hidden_layers=1, num_attention_heads=3, image_size=280, patch_size=14, mlp_ratio=2)
    for name, kind, model, more in [("plain", Dinov2Config, Dinov2Model, {}), ("registers", Dinov2WithRegistersConfig, Dinov2WithRegistersModel, {}),
                                    ("gated", Dinov2Config, Dinov2Model, dict(use_swiglu_ffn=True))]:
        if wanted(f"dinov2_transformers_{name}"):
            model = model(kind(**shape, **more)).eval()
            files = {"config.json": model.config.to_json_string(), "preprocessor_config.json": settings}
            small(folder, f"dinov2_transformers_{name}", model, lambda model, pixels: model(pixels).pooler_output, own, files, saved(model))


def dinov3(folder, wanted):
    import timm
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    shape = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=224, patch_size=16, intermediate_size=40, num_register_tokens=4)
    pixels = normalised(lambda picture: squashed(picture, 224, Image.BILINEAR), IMAGENET)
    settings = {"image_processor_type": "DINOv3ViTImageProcessorFast", "crop_size": None, "do_center_crop": None, "do_normalize": True, "do_rescale": True,
                "do_resize": True, "image_mean": IMAGENET[0], "image_std": IMAGENET[1], "resample": 2, "rescale_factor": 1 / 255,
                "size": {"height": 224, "width": 224}}
    for name, more in [("plain", {}), ("gated", dict(use_gated_mlp=True, hidden_act="silu"))]:
        if wanted(f"dinov3_transformers_{name}"):
            model = DINOv3ViTModel(DINOv3ViTConfig(**shape, **more)).eval()
            files = {"config.json": model.config.to_json_string(), "preprocessor_config.json": settings}
            small(folder, f"dinov3_transformers_{name}", model, lambda model, pixels: model(pixels).pooler_output, pixels, files, saved(model))
    pixels = normalised(lambda picture: shorter(picture, 256, 256, Image.BICUBIC, round), IMAGENET)
    for name, model in [("plain", "vit_small_patch16_dinov3"), ("gated", "vit_small_plus_patch16_dinov3_qkvb")]:
        if wanted(f"dinov3_timm_{name}"):
            model = timm.create_model(model, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2, global_pool="token", num_classes=0).eval()
            config = {"architecture": model.pretrained_cfg["architecture"], "num_classes": 0, "pretrained_cfg": model.pretrained_cfg}
            small(folder, f"dinov3_timm_{name}", model, lambda model, pixels: model(pixels), pixels, {"config.json": config})


class saved:
    """The tensors as save_pretrained names them, read when they have been drawn."""

    def __init__(self, model):
        self.model = model

    def items(self):
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            return list(load_file(f"{folder}/model.safetensors").items())


def main():
    folder, chosen = Path(sys.argv[1]), sys.argv[2:]

    def wanted(name):
        return not chosen or name in chosen

    siglip2(folder, wanted)
    dinov2(folder, wanted)
    dinov3(folder, wanted)
    text = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=8)
    text |= dict(bos_token_id=0, eos_token_id=1)
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=SHAPE, projection_dim=32)).eval()
    siglip = SiglipVisionModel(SiglipVisionConfig(**SHAPE)).eval()
    for name, model, processor in [("clip", clip, CLIPImageProcessorPil()), ("siglip", siglip, SiglipImageProcessorPil())]:
        if not wanted(name):
            continue
        draw(model)
        kept = folder / name
        kept.mkdir(parents=True, exist_ok=True)
        tensors = {key: value.clone() for key, value in model.state_dict().items()}
        others = [key for key in tensors if key.startswith("text_model.")]
        for key in others[1:]:
            del tensors[key]
        save_file(tensors, kept / "model.safetensors", metadata={"format": "pt"})
        (kept / "config.json").write_text(model.config.to_json_string())
        answer = features(model.double(), processor)
        save_file({"features": answer.float().contiguous()}, kept / "features.safetensors")
        print(name, tuple(answer.shape), f"std {answer.std():.3f}")


if __name__ == "__main__":
    main()
