#!/usr/bin/env python3
"""Makes small text towers of CLIP, SigLIP and SigLIP 2 with tokenizers, and what transformers computes with them.

    python3 scripts/make_text_goldens.py tests/data/text    # needs torch, transformers (5), tokenizers, sentencepiece, protobuf, Pillow

Each folder has a model with random weights in f16 (`model.safetensors`, the text tower alone), `config.json`, and a `tokenizer.json`
of the kind that the model has on the hub, trained on the sentences below. `tokens.json` has the tokens of each of the 200 texts of
`texts.json`, without the fill at the end. `features.safetensors` has `features (N, D)`: get_text_features of the first N texts, in f64
from the same f16 weights. CLIP's is made with both values of eos_token_id that published settings have.

Each run makes other pieces of CLIP's vocabulary, because the trainer of `tokenizers` breaks ties at random, and so other tokens and features
of it. Everything else is the same in each run.
"""

import base64
import io
import json
import random
import sys
from pathlib import Path

import sentencepiece
import torch
from make_encoder_goldens import draw
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, SiglipConfig, SiglipModel, SiglipTokenizer
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

SENTENCES = """a person opens the door
a person closes the door
closing a drawer slowly, then opening it again
the ball rolls from left to right
pushing something off the table
a man lifts a cup and puts it down
two dogs run towards the camera
pouring water into a glass; it's nearly full
a photo of a cat. A photo of a dog!
ein Mann öffnet die Tür und schließt das Fenster
une porte qui s'ouvre très lentement à gauche
la niña sube la escalera y baja después
человек открывает дверь и закрывает окно
ο άνθρωπος ανοίγει την πόρτα
人がドアを開けて、窓を閉める
一个人打开门,然后关上窗户
사람이 문을 열고 창문을 닫는다
एक आदमी दरवाज़ा खोलता है
رجل يفتح الباب ويغلق النافذة
אדם פותח את הדלת
ชายคนหนึ่งเปิดประตู
người đàn ông mở cửa""".splitlines()

EDGES = ["", " ", "   ", "a", "A", "?", "!!!", "...", "a cat", " a cat", "a cat ", "  a   cat  ", "a\tcat\nand\r\na dog", "a\u00a0cat\u3000door",
         "▁", "▁a ▁ cat", "it's, they've; we'll I'd he'S", "don’t", "(parentheses) [brackets] {braces}", "<tag> & </tag>", "50% of 1,234.56",
         "2024-11-26T12:00:00Z", "e-mail: me@example.org", "snake_case camelCase kebab-case", "C++ and C#", "naïve café", "nai\u0308ve cafe\u0301",
         "ÖFFNET DIE TÜR", "STRASSE straße", "İstanbul ISTANBUL ıi", "ΟΔΟΣ ΑΝΟΙΓΕΙ ΣΑΣ", "ДВЕРЬ", "ﬁne ﬂoor", "Ｆｕｌｌ ｗｉｄｔｈ", "½ cup, x² + y³", "①②③",
         "🙂", "a 🙂 cat", "👨‍👩‍👧 family", "🇩🇪 flag", "\u200bzero\u200bwidth", "bell\u0007and\u001fcontrol", "null\u0000byte", "\ufeffmark", "𝒜 script",
         "x" * 300, "a " * 100, "door " * 90, "日本語" * 40, "word", "don't stop", "l'été à la plage", "\u202eright to left", "a\u0301\u0302\u0303",
         "\\n is no line", '"quoted"', "‘single’ “double”", "—dash–dash-dash", "¿qué? ¡sí!", "a/b\\c|d", "#hash @at $dollar ^hat ~tilde `tick`"]


def texts():
    """200 texts: the edges, the sentences, and mixtures of their words."""
    rng = random.Random(7)
    words = " ".join(SENTENCES).split()
    all_texts = EDGES + SENTENCES
    while len(all_texts) < 200:
        some = [rng.choice(words) for _ in range(rng.randint(1, 24))]
        some = [word.upper() if rng.random() < 0.1 else word.title() if rng.random() < 0.1 else word for word in some]
        all_texts.append(rng.choice([" ", " ", " ", ", ", "  ", "-"]).join(some))
    return all_texts


def clip_tokenizer():
    """A BPE over bytes with the mark of a word's end, and the hub's kind of tokenizer.json."""
    trainer = trainers.BpeTrainer(vocab_size=760, end_of_word_suffix="</w>", show_progress=False)
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    trained.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trained.train_from_iterator(SENTENCES, trainer)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = alphabet + [letter + "</w>" for letter in alphabet]
    merges = [tuple(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    pieces += [left + right for left, right in merges]
    pieces = list(dict.fromkeys(pieces)) + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges, model_max_length=77)


def siglip_tokenizer(folder):
    """A unigram vocabulary of sentencepiece, with a small map of characters; its tokenizer.json as converters write it."""
    rules = folder / "rules.tsv"
    rules.write_text("".join(f"{ord(a):X}\t{' '.join(f'{ord(c):X}' for c in b)}\n" for a, b in [("ﬁ", "fi"), ("Ｆ", "f"), ("½", "1/2"), ("\u200b", " ")]))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([s.lower() for s in SENTENCES] * 6), model_writer=model, vocab_size=420, hard_vocab_limit=False,
        character_coverage=0.99, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_tsv=str(rules), minloglevel=2)
    rules.unlink()
    path = folder / "spiece.model"
    path.write_bytes(model.getvalue())
    slow = SiglipTokenizer(str(path))
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    path.unlink()
    vocabulary = [(piece.piece, piece.score) for piece in proto.pieces]
    fast = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    fast.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)])
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.decoder = decoders.Metaspace()
    fast.add_special_tokens(["</s>", "<unk>"])
    return slow, fast, len(vocabulary)


def siglip2_tokenizer():
    """A BPE as Gemma's: spaces as marks, bytes for what is unknown."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False, limit_alphabet=200)
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    trained.train_from_iterator(SENTENCES * 3, trainer)
    model = json.loads(trained.to_str())["model"]
    pieces = special + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += [piece for piece in sorted(model["vocab"], key=model["vocab"].get) if piece not in special]
    merges = [tuple(merge) for merge in model["merges"]]
    return Siglip2Tokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges, add_bos_token=False, add_eos_token=True,
                            padding_side="right", model_max_length=64)


def draw_in_half_precision(model):
    draw(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()


def keep(folder, model, answers):
    tensors = {name: value.half() for name, value in model.state_dict().items() if name.startswith("text_")}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(model.config.to_json_string())
    save_file({name: value.float().contiguous() for name, value in answers.items()}, folder / "features.safetensors")


def features(model, batch):
    with torch.no_grad():
        return torch.cat([model.get_text_features(input_ids=torch.tensor([ids])).pooler_output for ids in batch])


def main():
    root = Path(sys.argv[1])
    all_texts = texts()
    root.mkdir(parents=True, exist_ok=True)
    (root / "texts.json").write_text(json.dumps(all_texts, ensure_ascii=True))
    shape = dict(num_hidden_layers=2, num_attention_heads=3)
    vision = dict(hidden_size=48, intermediate_size=48, num_hidden_layers=1, num_attention_heads=3, image_size=32, patch_size=16)
    chosen = 48

    folder = root / "clip"
    folder.mkdir(exist_ok=True)
    tokenizer = clip_tokenizer()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    tokens = [tokenizer(text, truncation=True, max_length=77)["input_ids"] for text in all_texts]
    (folder / "tokens.json").write_text(json.dumps(tokens, separators=(",", ":")))
    text = dict(hidden_size=24, intermediate_size=48, vocab_size=len(tokenizer), max_position_embeddings=77, **shape)
    text |= dict(bos_token_id=tokenizer.bos_token_id, eos_token_id=2)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)).eval()
    draw_in_half_precision(model)
    # Shorter texts are filled up to the longest one, as a batch is.
    batch = tokenizer(all_texts[:chosen], truncation=True, max_length=77, padding=True, return_tensors="pt")
    model.double()
    with torch.no_grad():
        answers = {"features": model.get_text_features(**batch).pooler_output}
        # As LAION's: the exact GELU and the end by its number.
        exact = CLIPConfig(text_config=text | dict(hidden_act="gelu", eos_token_id=tokenizer.eos_token_id), vision_config=vision, projection_dim=32)
        other = CLIPModel(exact).eval().double()
        other.load_state_dict(model.state_dict())
        answers["features_gelu"] = other.get_text_features(**batch).pooler_output
    keep(folder, model, answers)
    print("clip", len(tokenizer), f"std {answers['features'].std():.3f}")

    for name in ["siglip", "siglip2"]:
        folder = root / name
        folder.mkdir(exist_ok=True)
        if name == "siglip":
            tokenizer, fast, vocabulary = siglip_tokenizer(folder)
            fast.save(str(folder / "tokenizer.json"))
        else:
            tokenizer = siglip2_tokenizer()
            vocabulary = len(tokenizer)
            saved = json.loads(tokenizer.backend_tokenizer.to_str())
            # The hub's file has no lower case.
            saved["normalizer"] = saved["normalizer"]["normalizers"][1]
            (folder / "tokenizer.json").write_text(json.dumps(saved, ensure_ascii=False))
        filled = [tokenizer(text, truncation=True, padding="max_length", max_length=64)["input_ids"] for text in all_texts]
        short = []
        for ids in filled:
            assert len(ids) == 64, len(ids)
            while len(ids) > 1 and ids[-1] == ids[-2] == tokenizer.pad_token_id or len(ids) > 1 and ids[-1] == tokenizer.pad_token_id != tokenizer.eos_token_id:
                ids = ids[:-1]
            short.append(ids)
        (folder / "tokens.json").write_text(json.dumps(short, separators=(",", ":")))
        text = dict(hidden_size=48 if name == "siglip" else 36, intermediate_size=64, vocab_size=vocabulary, max_position_embeddings=64, **shape)
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).eval()
        draw_in_half_precision(model)
        answers = {"features": features(model.double(), filled[:chosen])}
        keep(folder, model, answers)
        print(name, vocabulary, f"std {answers['features'].std():.3f}")


main()
