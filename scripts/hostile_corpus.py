#!/usr/bin/env python3
"""Writes a corpus of hostile video files: damaged files, false headers, unusual and misnamed files. One seed gives one corpus.

    scripts/hostile_corpus.py FOLDER [--seed N] [--only WORD]

It needs the standard library and the program ffmpeg, whose encoders decide which pairs of codec and container exist.
FOLDER/cases.json lists every file and what is known of it. scripts/hostile_run.py runs lift over the files.

A case is `whole` (a healthy video), `copy` (the bytes of a whole file under another name), `damaged` (made from the whole file that
`base` names), or `none` (there is no video in it).
"""

import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

PICTURE = "testsrc2=size={size}:rate={rate}:duration={duration}"

# Name: encoder and its flags, containers.
CODECS = {
    "h264": (["libx264", "-preset", "veryfast", "-bf", "2", "-g", "12", "-pix_fmt", "yuv420p"],
             ["mp4", "mkv", "ts", "mov", "avi"]),
    "hevc": (["libx265", "-preset", "ultrafast", "-g", "12", "-x265-params", "log-level=none:pools=1"],
             ["mp4", "mkv", "ts"]),
    "vp8": (["libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "12"], ["webm", "mkv"]),
    "vp9": (["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "12"], ["webm", "mp4"]),
    "av1": (["libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "12"], ["mp4", "mkv"]),
    "mpeg2": (["mpeg2video", "-g", "12", "-qscale:v", "3"], ["ts", "mpg"]),
    "mpeg4": (["mpeg4", "-g", "12", "-qscale:v", "3"], ["avi", "mp4"]),
    "prores": (["prores", "-pix_fmt", "yuv422p10le"], ["mov"]),
    "mjpeg": (["mjpeg", "-pix_fmt", "yuvj420p", "-qscale:v", "4"], ["avi", "mov"]),
    "gif": (["gif"], ["gif"]),
}


class Corpus:
    def __init__(self, folder, seed, only):
        self.folder, self.seed, self.only = folder, seed, only
        self.cases, self.skipped = [], []

    def add(self, name, kind, base=None, note=""):
        """Lists a case; `name` may hold any byte (surrogates stand for those that are not UTF-8)."""
        self.cases.append({"name": name, "kind": kind, "base": base, "note": note})

    def path(self, name):
        path = self.folder / name if isinstance(name, str) else self.folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name, data, kind, base=None, note=""):
        self.path(name).write_bytes(data)
        self.add(name, kind, base, note)

    def encode(self, name, kind, arguments, note="", base=None):
        """Runs ffmpeg; false (and a word) where this ffmpeg cannot."""
        path = self.path(name)
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", "-fflags", "+bitexact", *arguments]
        done = subprocess.run([*command, "-threads", "1", "-flags:v", "+bitexact", str(path)], capture_output=True, text=True)
        if done.returncode != 0 or not path.exists() or path.stat().st_size == 0:
            path.unlink(missing_ok=True)
            self.skipped.append(f"{name}: {(done.stderr.strip().splitlines() or ['nothing came out'])[-1]}")
            return False
        self.add(name, kind, base, note)
        return True

    def chance(self, name):
        """Random numbers of this seed that are a file's own."""
        return random.Random(f"{self.seed} {name}")


def picture(size="128x96", rate="25", duration="2"):
    return ["-f", "lavfi", "-i", PICTURE.format(size=size, rate=rate, duration=duration)]


def flipped(data, chance, start, end, bits):
    data = bytearray(data)
    for _ in range(bits):
        data[chance.randrange(start, max(end, start + 1))] ^= 1 << chance.randrange(8)
    return bytes(data)


def damages(corpus, base):
    """Every damage of one whole file."""
    data = corpus.path(base).read_bytes()
    stem, extension = base.rsplit("/", 1)[-1].rsplit(".", 1)
    chance = corpus.chance(base)

    def out(what, bytes_, kind="damaged"):
        corpus.write(f"damaged/{stem}.{what}.{extension}", bytes_, kind, base)

    for percent in (0, 1, 50, 99):
        out(f"cut{percent:02}", data[: len(data) * percent // 100], "none" if percent == 0 else "damaged")
    out("cut_1_byte", data[:-1])
    for turn in range(3):
        out(f"header{turn}", flipped(data, chance, 0, min(512, len(data)), 4))
        out(f"body{turn}", flipped(data, chance, len(data) // 4, len(data), 6))
    for turn in range(2):
        holed = bytearray(data)
        for _ in range(3):
            at = chance.randrange(len(data) // 8, len(data))
            holed[at : at + 256] = bytes(len(holed[at : at + 256]))
        out(f"zeroed{turn}", bytes(holed))
    at = chance.randrange(len(data) // 4, len(data) // 2)
    out("lost_block", data[:at] + data[at + 512 :])
    out("doubled_block", data[:at] + data[at : at + 512] + data[at:])
    out("garbage_tail", data + chance.randbytes(4096))


def boxes(data):
    """The top boxes of an MP4: (kind, start, end)."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        size = {0: len(data) - at, 1: 0}.get(size, size) or struct.unpack_from(">Q", data, at + 8)[0]
        if size < 8:
            return
        yield kind, at, at + size
        at += size


def lying_headers(corpus):
    """Headers that say what the stream does not."""
    base = "whole/h264.mp4"
    data = corpus.path(base).read_bytes()
    parts = {kind: data[start:end] for kind, start, end in boxes(data)}
    corpus.write("lies/no_moov.mp4", parts[b"ftyp"] + parts[b"mdat"], "none", base)
    corpus.write("lies/moov_only.mp4", parts[b"ftyp"] + parts[b"moov"], "none", base)
    size = struct.pack(">HH", 128, 96)
    for width, height in ((64, 48), (0, 0), (65535, 65535), (1, 1)):
        at = data.index(b"avc1", data.index(b"stsd")) + 28
        assert data[at : at + 4] == size
        wrong = data[:at] + struct.pack(">HH", width, height) + data[at + 4 :]
        corpus.write(f"lies/size_{width}x{height}.mp4", wrong, "damaged", base, "the sample entry's picture size")
    data = corpus.path("whole/mpeg4.avi").read_bytes()
    for width, height in ((64, 48), (0, 0), (1 << 30, 1 << 30)):
        wrong = data.replace(struct.pack("<II", 128, 96), struct.pack("<II", width, height))
        corpus.write(f"lies/size_{width}x{height}.avi", wrong, "damaged", "whole/mpeg4.avi", "both headers' picture size")
    data = corpus.path("whole/vp8.webm").read_bytes()
    for width in (1, 127, 255):
        at = data.index(b"\xb0\x81\x80") + 2
        wrong = data[:at] + bytes([width]) + data[at + 1 :]
        corpus.write(f"lies/width_{width}.webm", wrong, "damaged", "whole/vp8.webm", "the track's picture width")
    # A table of samples without end, constant in size: it takes no bytes of the file.
    for name, count in (("samples_million", 1_000_000), ("samples_billion", 0xFFFFFFF0)):
        corpus.write(f"lies/{name}.mp4", mp4_of_many(parts[b"moov"], parts[b"ftyp"], count), "damaged", base)
    nest = b""
    for _ in range(20_000):
        nest = struct.pack(">I4s", 8 + len(nest), b"moov") + nest
    corpus.write("lies/nested_boxes.mp4", parts[b"ftyp"] + nest, "none")
    master = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" * 20_000
    corpus.write("lies/nested_segments.mkv", master, "none")


def mp4_of_many(moov, ftyp, count):
    """A movie whose samples are `count` times one byte, all in one chunk."""
    moov = bytearray(moov)

    def replaced(kind, body):
        at = moov.index(kind) - 4
        (size,) = struct.unpack_from(">I", moov, at)
        new = struct.pack(">I4s", 8 + len(body), kind) + body
        change = len(new) - size
        moov[at : at + size] = new
        # The boxes around it grow or shrink with it.
        outer = 0
        while outer < at:
            length, name = struct.unpack_from(">I4s", moov, outer)
            if outer + length > at:
                struct.pack_into(">I", moov, outer, length + change)
                outer += 8
            else:
                outer += length
                continue

    replaced(b"stsz", struct.pack(">III", 0, 1, count))
    replaced(b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1))
    replaced(b"stts", struct.pack(">IIII", 0, 1, count, 512))
    for kind in (b"stco",):
        replaced(kind, struct.pack(">III", 0, 1, 64))
    for kind in (b"ctts", b"stss"):
        if kind in moov:
            replaced(kind, struct.pack(">II", 0, 0))
    return ftyp + bytes(moov) + struct.pack(">I4s", 4096, b"mdat") + bytes(4088)


def odd_streams(corpus):
    """Healthy files at the edges of what a stream can be, and files without moving pictures."""
    h264 = CODECS["h264"][0]
    for codec, (encoder, containers) in CODECS.items():
        video, container = ["-c:v", *encoder], containers[0]
        corpus.encode(f"odd/one_frame_{codec}.{container}", "whole", [*picture(), *video, "-frames:v", "1"])
        for side in (1, 2, 4, 8, 16, 32):
            small = [*picture("64x64"), "-vf", f"scale={side}:{side}", *video]
            if corpus.encode(f"odd/smallest_{codec}.{container}", "whole", small, f"{side}x{side}"):
                break
        corpus.encode(f"odd/wide_{codec}.{container}", "whole", [*picture("16384x16", duration="0.2"), *video])
        corpus.encode(f"odd/tall_{codec}.{container}", "whole", [*picture("16x16384", duration="0.2"), *video])
    for container in ("mp4", "mkv", "mov"):
        corpus.encode(f"odd/fps_10000.{container}", "whole", [*picture(rate="10000", duration="0.05"), "-c:v", *h264])
        # All of an MP4 that lies before its zero is cut away by its edit list.
        before = "none" if container != "mkv" else "whole"
        for name, offset, kind in (("negative", "-1", "whole"), ("gone", "-10", before), ("huge", "1000000000", "whole")):
            corpus.encode(f"odd/{name}_times.{container}", kind,
                          [*picture(), "-c:v", *h264, "-output_ts_offset", offset, "-avoid_negative_ts", "disabled"])
    corpus.encode("odd/late.ts", "whole", [*picture(), "-c:v", *h264, "-output_ts_offset", "90000"])
    first, second = picture(), picture("176x144")
    for container, codec in (("ts", h264), ("mpg", ["mpeg2video"]), ("mjpeg", ["mjpeg", "-pix_fmt", "yuvj420p"])):
        names = [f"odd/.part{n}.{container}" for n in (1, 2)]
        if all(corpus.encode(name, "part", [*source, "-c:v", *codec]) for name, source in zip(names, (first, second))):
            joined = b"".join(corpus.path(name).read_bytes() for name in names)
            corpus.write(f"odd/changing_size.{container}", joined, "whole", note="its second half is larger")
    tone = ["-f", "lavfi", "-i", "sine=duration=2"]
    for container in ("m4a", "mp3", "ogg", "wav", "mka"):
        corpus.encode(f"odd/audio_only.{container}", "none", tone)
    cover = ["-f", "lavfi", "-i", "color=red:size=64x64:duration=0.04", "-map", "0:a", "-map", "1:v", "-frames:v", "1"]
    corpus.encode("odd/cover_only.mp3", "none", [*tone, *cover, "-c:v", "mjpeg", "-id3v2_version", "3"])
    corpus.encode("odd/cover_only.m4a", "none", [*tone, *cover, "-c:v", "mjpeg", "-disposition:v", "attached_pic"])
    two = [*picture("64x64"), *picture("128x96"), "-map", "0:v", "-map", "1:v", "-c:v", *h264]
    for container in ("mp4", "mkv", "ts"):
        corpus.encode(f"odd/two_streams.{container}", "whole", two)
    still = ["-f", "lavfi", "-i", "color=red:size=640x480:duration=0.04", "-frames:v", "1", "-pix_fmt", "yuvj420p"]
    if corpus.encode("odd/.cover.jpg", "part", [*still, "-c:v", "mjpeg", "-update", "1"]):
        for container in ("mp4", "mov", "mkv"):
            video = corpus.path(f"whole/h264.{container}")
            both = ["-i", str(corpus.path("odd/.cover.jpg")), "-i", str(video), "-map", "0:v", "-map", "1:v", "-c", "copy"]
            corpus.encode(f"odd/picture_first.{container}", "whole", [*both, "-disposition:v:0", "attached_pic"])
    gif = b"GIF89a%s\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    for side in (11000, 16000, 16384, 65535):
        data = gif % struct.pack("<HH", side, side)
        kind = "whole" if side < 11585 else "none"
        corpus.write(f"odd/screen_{side}.gif", data, kind, note="thirty bytes, and a screen around or over the limit of pixels")
    for name, data in (
        ("text.mp4", b"I am a text file.\n" * 100),
        ("zeros.mp4", bytes(65536)),
        ("noise.mp4", corpus.chance("noise").randbytes(65536)),
        ("noise.ts", b"".join(b"\x47" + corpus.chance(f"ts{i}").randbytes(187) for i in range(400))),
        ("archive.mp4", b"PK\x05\x06" + bytes(18)),
        ("program.mp4", b"\x7fELF" + bytes(4096)),
        ("page.mp4", b"<!DOCTYPE html><title>404</title><p>Not found, but with a friendly page." * 20),
    ):
        corpus.write(f"odd/{name}", data, "none")


def playlists(corpus):
    """Files that name others: none is to be followed."""
    clip = corpus.path("whole/h264.mp4")
    segment = corpus.path("whole/h264.ts")
    live = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:100000\n#EXTINF:2,\n{segment}\n"
    for name, text in (
        ("live.m3u8", live),
        ("live.mp4", live),
        ("ended.m3u8", live + "#EXT-X-ENDLIST\n"),
        ("secret.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
        ("net.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", f"ffconcat version 1.0\nfile {clip.name}\n"),
        ("list.mp4", f"ffconcat version 1.0\nfile '{clip}'\n"),
        ("session.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
        ("manifest.mpd", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" minimumUpdatePeriod="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>http://127.0.0.1:9/x.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>'),
    ):
        corpus.write(f"lists/{name}", text.encode(), "none")


def no_files(corpus):
    """What is no regular file."""
    corpus.write("files/empty.mp4", b"", "none")
    corpus.path("files/folder.mp4").mkdir(exist_ok=True)
    corpus.add("files/folder.mp4", "none", note="a folder with a video's name and nothing in it")
    fifo = corpus.path("files/pipe.mp4")
    if not fifo.exists():
        os.mkfifo(fifo)
    corpus.add("files/pipe.mp4", "none", note="a FIFO that nobody writes to")
    for name, target in (
        ("zero.mp4", "/dev/zero"), ("null.mp4", "/dev/null"), ("random.mp4", "/dev/urandom"), ("dangling.mp4", "nowhere.mp4"),
        ("loop.mp4", "loop.mp4"), ("fifo_link.mp4", "pipe.mp4"),
    ):
        link = corpus.path(f"files/{name}")
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        corpus.add(f"files/{name}", "none", note=f"a link to {target}")
    sparse = corpus.path("files/sparse.mp4")
    with open(sparse, "wb") as file:
        file.write(corpus.path("whole/h264.mp4").read_bytes()[:4096])
        file.truncate(1 << 40)
    corpus.add("files/sparse.mp4", "damaged", "whole/h264.mp4", "a terabyte of nothing behind the header")


def names(corpus):
    """A whole clip under names that mean something to a shell, a terminal, a format or a protocol."""
    base = "whole/h264.mp4"
    data = corpus.path(base).read_bytes()
    odd = [
        b"new\nline.mp4", b"quo'te\"s.mp4", b"caf\xe9.mp4", b"\xff\xfe\x80.mp4", b"\x1b[31mred\x1b]0;title\x07.mp4",
        b"back\\slash.mp4", b"percent%03d.jpg", b"glob*?[a].mp4", b"file:x.mp4", b"concat:a|b.mp4", b"http:~example.mp4",
        b"-dash.mp4", b"  spaces  .mp4", b"tab\tbell\x07.mp4", "\u202egnp.4pm".encode(), b"no extension", b".hidden.mp4",
        b"a,b;c=d.mp4", b"$(reboot)`.mp4", b"x" * 251 + b".mp4",
    ]
    for name in odd:
        corpus.write("names/" + os.fsdecode(name), data, "copy", base)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="damage only the whole files whose name has this word")
    options = parser.parse_args()
    if not shutil.which("ffmpeg"):
        sys.exit("the corpus is made with the ffmpeg command line, which is not here: apt-get install ffmpeg")
    corpus = Corpus(options.folder.resolve(), options.seed, options.only)
    for codec, (encoder, containers) in CODECS.items():
        for container in containers:
            name = f"whole/{codec}.{container}"
            if corpus.encode(name, "whole", [*picture(), "-c:v", *encoder]) and options.only in name:
                damages(corpus, name)
    lying_headers(corpus)
    odd_streams(corpus)
    playlists(corpus)
    no_files(corpus)
    names(corpus)
    cases = [case for case in corpus.cases if case["kind"] != "part"]
    listing = {"seed": options.seed, "cases": cases, "skipped": corpus.skipped}
    (corpus.folder / "cases.json").write_text(json.dumps(listing, indent=1))
    print(f"{len(cases)} files in {corpus.folder}")
    made = {case["name"] for case in cases}
    for line in corpus.skipped:
        if line.split(":")[0] not in made:
            print(f"this ffmpeg cannot make {line}")


if __name__ == "__main__":
    main()
