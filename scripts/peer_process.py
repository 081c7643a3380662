"""Runs one peer in a process of its own. bench_peers.py starts it, with a job in JSON as the argument.

It has what all peers share: the frame encoder in plain PyTorch, written from its tensor names and shapes, random
full-size weights for it, and the frames.
"""

import json
import math
import os
import sys
import time

SIDE, PATCH, GRID, REGISTERS, WIDTH, DEPTH = 224, 14, 37, 4, 384, 12
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def random_dinov2(seed=1):
    """Full-size weights under timm's names. The numbers mean nothing; their scales keep activations and attention lively."""
    import numpy as np

    rng = np.random.RandomState(seed)
    normal = lambda *shape, std=1.0, mean=0.0: (rng.standard_normal(shape) * std + mean).astype("<f4")
    dense = lambda rows, cols: normal(rows, cols, std=1 / math.sqrt(cols))
    tensors = {
        "cls_token": normal(1, 1, WIDTH, std=0.5),
        "reg_token": normal(1, REGISTERS, WIDTH, std=0.5),
        "pos_embed": normal(1, GRID * GRID, WIDTH, std=0.2),
        "patch_embed.proj.weight": normal(WIDTH, 3, PATCH, PATCH, std=0.04),
        "patch_embed.proj.bias": normal(WIDTH, std=0.1),
    }
    for i in range(DEPTH):
        b = f"blocks.{i}."
        for name, rows, cols in (("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4)):
            tensors[f"{b}{name}.weight"] = dense(rows * WIDTH, cols * WIDTH)
            tensors[f"{b}{name}.bias"] = normal(rows * WIDTH, std=0.1)
        for name in ("norm1", "norm2"):
            tensors[f"{b}{name}.weight"], tensors[f"{b}{name}.bias"] = normal(WIDTH, std=0.1, mean=1.0), normal(WIDTH, std=0.1)
        for name in ("ls1", "ls2"):
            tensors[f"{b}{name}.gamma"] = normal(WIDTH, std=0.05, mean=0.35)
    tensors["norm.weight"], tensors["norm.bias"] = normal(WIDTH, std=0.1, mean=1.0), normal(WIDTH, std=0.1)
    return tensors


def vit(path):
    """The frame encoder in plain PyTorch: (B, 3, 224, 224) normalised pixels to class tokens (B, D)."""
    import torch
    from safetensors.torch import load_file
    from torch import nn
    from torch.nn import functional as F

    class Scale(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.gamma = nn.Parameter(torch.empty(width))

        def forward(self, x):
            return x * self.gamma

    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            b, n, d = x.shape
            q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
            return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))

    class Mlp(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            return self.fc2(F.gelu(self.fc1(x)))

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.norm1, self.attn, self.ls1 = nn.LayerNorm(width, eps=1e-6), Attention(width, heads), Scale(width)
            self.norm2, self.mlp, self.ls2 = nn.LayerNorm(width, eps=1e-6), Mlp(width), Scale(width)

        def forward(self, x):
            x = x + self.ls1(self.attn(self.norm1(x)))
            return x + self.ls2(self.mlp(self.norm2(x)))

    class Vit(nn.Module):
        def __init__(self, width, depth, grid):
            super().__init__()
            self.cls_token = nn.Parameter(torch.empty(1, 1, width))
            self.reg_token = nn.Parameter(torch.empty(1, REGISTERS, width))
            self.pos_embed = nn.Parameter(torch.empty(1, grid * grid, width))
            self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
            self.blocks = nn.ModuleList([Block(width, width // 64) for _ in range(depth)])
            self.norm = nn.LayerNorm(width, eps=1e-6)

        def forward(self, x):
            x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed
            prefix = torch.cat([self.cls_token, self.reg_token], 1).expand(x.shape[0], -1, -1)
            x = torch.cat([prefix, x], 1)
            for block in self.blocks:
                x = block(x)
            return self.norm(x)[:, 0]

    weights = load_file(path)
    positions = weights["pos_embed"]
    grid, width = math.isqrt(positions.shape[1]), positions.shape[2]
    # Resampled once, here, to the grid of a 224 px frame.
    square, side = positions.view(1, grid, grid, width).permute(0, 3, 1, 2), SIDE // PATCH
    square = F.interpolate(square, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    weights["pos_embed"] = square.permute(0, 2, 3, 1).reshape(1, side * side, width)
    depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    model = Vit(width, depth, side).eval()
    model.load_state_dict(weights)
    return model


def pixels(frames):
    """`frames` frames of noise (B, 3, 224, 224), normalised."""
    import numpy as np

    return np.random.RandomState(2).standard_normal((frames, 3, SIDE, SIDE)).astype("<f4")


def forward_of(name, weights, onnx, frames, threads):
    """A function without arguments that runs one pass in the named peer and gives (B, D) as numpy."""
    x = pixels(frames)
    if name.startswith("pytorch"):
        import torch

        torch.set_num_threads(threads)
        model, x = vit(weights), torch.from_numpy(x)
        if name.endswith("compiled"):
            model = torch.compile(model)

        def run():
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled="bf16" in name):
                return model(x).float().numpy()

        return run
    if name == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: x}
        return lambda: session.run(None, feed)[0]
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if name.endswith("bf16") else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(onnx, "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if used != settings["INFERENCE_PRECISION_HINT"]:
        raise RuntimeError(f"this processor has no {settings['INFERENCE_PRECISION_HINT']} for OpenVINO (it would use {used})")
    request = compiled.create_infer_request()
    return lambda: request.infer([x], share_inputs=True)[0]


def work(job):
    """The peer's side of the pipe: says when it is ready, then answers every number N with the times of N passes."""
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to the log
    import numpy as np

    run = forward_of(job["name"], job["weights"], job["onnx"], job["frames"], job["threads"])
    np.save(job["output"], run())
    print("ready", file=answer)
    for line in sys.stdin:
        run()
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), file=answer)


def export(job):
    """Writes the ONNX file that ONNX Runtime and OpenVINO read."""
    import torch

    model, x = vit(job["weights"]), torch.from_numpy(pixels(job["frames"]))
    torch.onnx.export(model, (x,), job["onnx"], opset_version=20, dynamo=True, external_data=False, verbose=False)


def stand_in(job):
    """One clip, from the import of PyTorch to 16 features: the stand-in's whole life."""
    import av
    import numpy as np
    import torch

    torch.set_num_threads(job["threads"])
    model = vit(job["weights"])
    with av.open(job["clip"]) as container:
        clip = [frame.to_image() for frame in container.decode(video=0)]
    shots = []
    for i in np.linspace(0, len(clip) - 1, job["frames"]).astype(int):
        w, h = clip[i].size
        w, h = (256, int(256 * h / w)) if w < h else (int(256 * w / h), 256)
        left, top = round((w - SIDE) / 2), round((h - SIDE) / 2)
        shots.append(np.asarray(clip[i].resize((w, h), 3).crop((left, top, left + SIDE, top + SIDE))))
    x = (np.stack(shots) / 255 - MEAN) / STD
    with torch.inference_mode():
        np.save(job["output"], model(torch.from_numpy(x.astype("f4")).permute(0, 3, 1, 2).contiguous()).numpy())


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    {"work": work, "export": export, "stand_in": stand_in}[job["task"]](job)
