"""The Python module against the built program: LIFT_BINARY names it. Run by scripts/test_python.sh."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import lift_video

CLIPS = Path(__file__).parents[2] / "assets" / "clips"
PATHS = sorted(CLIPS.iterdir())


def embed(paths, **options):
    return lift_video.embed(paths, model="mini", **options)


def test_rows_are_those_of_the_program(tmp_path):
    parts = ["concat", "static", "frames"]
    result = embed(PATHS, parts=parts)
    out = tmp_path / "x.npz"
    command = [lift_video.program(), "embed", *map(str, PATHS), "--model", "mini", "-q"]
    subprocess.run([*command, "--parts", ",".join(parts), "-o", str(out)], check=True)
    written = np.load(out)
    for part in parts:
        assert result[part].dtype == np.float32
        assert np.array_equal(result[part], written[part]), part
    assert result["frames"].shape[:2] == (len(PATHS), 16)
    assert result.ids == [path.stem for path in PATHS]
    assert result.paths == [str(path) for path in PATHS]
    assert result.failures == [] and len(result) == len(PATHS)


def test_key_frames_give_other_rows_and_are_told():
    paths = [Path(__file__).parents[1] / "data" / "clips" / name for name in ("many_keys.mp4", "one_key.mp4")]
    exact, keys = embed(paths), embed(paths, keyframes=True)
    assert exact.key_frames == [None, None] and keys.key_frames == [10, 0]
    assert not np.array_equal(keys["concat"][0], exact["concat"][0])
    assert np.array_equal(keys["concat"][1], exact["concat"][1])


def test_a_broken_video_is_a_failure_and_the_others_keep_their_rows(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("not a video")
    result = embed([PATHS[0], broken, tmp_path / "missing.mp4", PATHS[1]], ids=["a", "b", "c", "d"])
    assert result.ids == ["a", "d"] and result.index == [0, 3]
    assert [(failure.index, failure.id) for failure in result.failures] == [(1, "b"), (2, "c")]
    assert all(failure.stage and failure.error for failure in result.failures)
    assert np.array_equal(result["concat"], embed([PATHS[0], PATHS[1]])["concat"])


def test_all_broken_gives_no_rows(tmp_path):
    result = embed(str(tmp_path / "missing.mp4"))
    assert len(result) == 0 and len(result.failures) == 1 and len(result["concat"]) == 0


def test_wrong_options_are_an_error_with_the_programs_message():
    with pytest.raises(lift_video.LiftError, match="nothing"):
        embed(PATHS[:1], parts=["nothing"])
    with pytest.raises(lift_video.LiftError, match="missing.safetensors") as caught:
        embed(PATHS[:1], lift="missing.safetensors")
    assert caught.value.exit_code == 3
    with pytest.raises(ValueError, match="1 ids"):
        embed(PATHS[:2], ids=["a"])


def test_ids_are_paths_where_two_files_share_a_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.mp4").write_bytes((CLIPS / "ball_rising.mp4").read_bytes())
    paths = [str(tmp_path / folder / "clip.mp4") for folder in ("a", "b")]
    assert embed(paths).ids == paths


def test_threads_share_one_process():
    with lift_video.Embedder(model="mini") as embedder:
        results = {}

        def work(number):
            results[number] = embedder.embed(PATHS[number % len(PATHS)])["concat"]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone = [embedder.embed(path)["concat"] for path in PATHS]
    assert all(np.array_equal(results[number], alone[number % len(PATHS)]) for number in results)


def test_a_killed_process_is_replaced_and_no_video_is_lost():
    with lift_video.Embedder(model="mini") as embedder:
        first = embedder.embed(PATHS)["concat"]
        embedder._process.popen.send_signal(signal.SIGKILL)
        assert np.array_equal(embedder.embed(PATHS)["concat"], first)
        killer = threading.Timer(0.1, lambda: os.kill(embedder._process.popen.pid, signal.SIGKILL))
        killer.start()
        again = embedder.embed(PATHS * 20)
        killer.join()
    assert again.failures == [] and np.array_equal(again["concat"], np.concatenate([first] * 20))


def test_a_closed_embedder_says_so():
    embedder = lift_video.Embedder(model="mini")
    embedder.embed(PATHS[:1])
    embedder.close()
    with pytest.raises(lift_video.LiftError, match="closed"):
        embedder.embed(PATHS[:1])


def test_the_process_ends_with_its_parent():
    script = f"""
        import lift_video, os, sys
        embedder = lift_video.Embedder(model="mini")
        embedder.embed({str(PATHS[0])!r})
        print(embedder._process.popen.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    child = Path("/proc") / run.stdout.strip()
    for _ in range(100):
        # A zombie has ended; whether its new parent has taken notice is not ours.
        if not child.exists() or "State:\tZ" in (child / "status").read_text():
            return
        time.sleep(0.1)
    pytest.fail("lift outlived its parent by ten seconds")


def test_progress_counts_every_video():
    seen = []
    embed(PATHS, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, len(PATHS)) for done in range(1, len(PATHS) + 1)]


def test_a_table_for_pandas():
    pytest.importorskip("pandas")
    table = embed(PATHS[:2], parts="dynamic").to_pandas()
    assert list(table.columns) == ["id", "path", "fps", "duration", "dynamic"] and len(table) == 2
    assert table["dynamic"][0].shape == (128,)


def test_only_the_video_that_kills_the_process_fails(tmp_path, monkeypatch):
    wrapper = tmp_path / "lift"
    wrapper.write_text(
        textwrap.dedent(f"""\
        #!{sys.executable}
        import os, subprocess, sys
        child = subprocess.Popen([{lift_video.program()!r}, *sys.argv[1:]], stdin=subprocess.PIPE)
        for line in sys.stdin.buffer:
            if b"killer" in line:
                child.kill()
                os.kill(os.getpid(), 9)
            child.stdin.write(line)
            child.stdin.flush()
        child.stdin.close()
        sys.exit(child.wait())
        """)
    )
    wrapper.chmod(0o755)
    expected = embed(PATHS[:2])["concat"]
    monkeypatch.setenv("LIFT_BINARY", str(wrapper))
    result = embed([PATHS[0], "killer.mp4", PATHS[1]])
    assert [(failure.id, failure.stage) for failure in result.failures] == [("killer", "crash")]
    assert "signal 9" in result.failures[0].error
    assert np.array_equal(result["concat"], expected)


def test_python_ends_cleanly_with_an_open_embedder():
    script = f"""
        import lift_video
        embedder = lift_video.Embedder(model="mini")
        print(embedder.embed({str(PATHS[0])!r}).ids)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    assert run.stdout.strip() == f"['{PATHS[0].stem}']"
