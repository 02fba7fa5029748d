"""How claims are judged, and the paper's way of running the same networks."""

import json

import pytest
import torch

from frr.training.publishing.assemble_mofrr import fresh_pipeline


@pytest.fixture(scope="module")
def tiny():
    pipe = fresh_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_a_claim_is_met_on_its_own_side_of_the_limit():
    from benchmarks.must_show import at_least, at_most, left_out

    assert at_least("x", 8, 8).met and not at_least("x", 7.99, 8).met
    assert at_most("x", 45, 45).met and not at_most("x", 45.01, 45).met
    claim = left_out("x", ">= 4", "no library")
    assert claim.met is None and "left out" in claim.line() and "no library" in claim.line()
    assert at_most("x", 50, 45, unit=" %").line().startswith("MISSED x: 50, wanted <= 45 %")


def test_the_slope_of_linear_and_of_quadratic_cost():
    from benchmarks.must_show import slope

    sizes = (256, 512, 1024, 2048)
    assert slope(sizes, [3e-6 * size**2 for size in sizes]) == pytest.approx(1)
    assert slope(sizes, [size**4 for size in sizes]) == pytest.approx(2)
    assert slope(sizes, [5.0] * 4) == pytest.approx(0)


def test_without_faces_the_psnr_claim_says_so(tiny):
    from benchmarks.must_show import quality_against_the_paper

    (claim,) = quality_against_the_paper(tiny, None, 512, 4)
    assert claim.met is None and "--faces" in claim.note


def test_the_paper_runs_every_expert_ten_steps_at_full_size(tiny, monkeypatch):
    from benchmarks.workloads import PaperWay

    steps = dict.fromkeys(tiny.expert_names, 0)
    sizes = set()
    for name in tiny.expert_names:
        expert = getattr(tiny, f"{name}_expert")
        denoise = expert.denoise

        def counted(latents, timestep, condition, _name=name, _denoise=denoise):
            steps[_name] += 1
            sizes.add(tuple(latents.shape))
            return _denoise(latents, timestep, condition)

        monkeypatch.setattr(expert, "denoise", counted)
    photo = torch.rand(1, 3, 320, 288)
    way = PaperWay(tiny)
    assert way(photo, {"whitening"}).shape == photo.shape
    assert set(steps.values()) == {10}
    assert sizes == {(1, 3, 80, 72)}  # a quarter of the photo, whatever the working size
    assert way.merger.config.reduction == 1

    PaperWay(tiny, steps=1, dense=False)(photo, {"whitening"})
    assert steps["smoothing"] == 10 and steps["whitening"] == steps["shared"] == 11


def test_at_the_working_size_and_one_step_both_ways_agree(tiny):
    from benchmarks.workloads import PaperWay, restoring

    photo = torch.rand(1, 3, 64, 64)
    ours = restoring(tiny, photo, {"whitening", "eye_enlarging"})()
    way = PaperWay(tiny, steps=1)
    way.merger = tiny.merger
    assert torch.allclose(way(photo, {"whitening", "eye_enlarging"}), ours, atol=1e-4)


def test_jobs_take_turns_and_the_median_counts():
    from benchmarks.timing import Clock, take_turns

    order, ticks = [], iter(range(100))
    clock = Clock("test", lambda: next(ticks), lambda start, end: end - start)
    jobs = {
        "a": lambda: order.append("a"),
        "b": lambda: (order.append("b"), [next(ticks) for _ in range(order.count("b"))]),
    }
    seconds = take_turns(jobs, 3, clock)
    assert order == ["a", "b"] * 4
    assert seconds == {"a": 1, "b": 4}  # of 3, 4 and 5: the first turn does not count


def test_files_of_a_run(tmp_path):
    from benchmarks import matrix, must_show, run, variants

    rows = [
        matrix.Row("tiny", 256, 1, n, {"merger": 0.1 * n, "a: denoiser": 0.1}, {"merger": 2e9},
                   0.1, 2**21, 4.0, 8e9)
        for n in (1, 2)
    ]  # fmt: skip
    claims = [must_show.at_most("x", 1, 2, unit=" %"), must_show.left_out("y", ">= 4", "why")]
    ways = [variants.Variant("z", None, None, "needs CUDA")]
    run.write(tmp_path, "about", rows, claims, ways)
    text = (tmp_path / "speed.md").read_text()
    assert "| tiny | 256 px | 1 | 1 | 0.200 | 100 % | 2.0 | 2 MiB | 20.0 times, 4 times" in text
    assert "| x | 1 | <= 2 % | met |" in text and "| y |  | >= 4 | left out; why |" in text
    assert "z: left out (needs CUDA)" in text
    record = json.loads((tmp_path / "speed.json").read_text())
    assert record["rows"][1]["active"] == 2 and record["claims"][0]["met"] is True
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_of_the_readme_is_renewed_between_its_marks(tmp_path, root):
    from benchmarks.must_show import at_most, left_out
    from benchmarks.run import MARKS, put_between_marks, short_table

    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{MARKS[0]}\nold\n{MARKS[1]}\nbelow\n")
    table = short_table([at_most("x", 50, 45, unit=" %"), left_out("y", ">= 4", "why")])
    for _ in range(2):
        put_between_marks(readme, table)
    text = readme.read_text()
    assert text.startswith("above\n") and text.endswith("below\n") and "old" not in text
    assert text.count("| x | 50 | <= 45 %, missed |") == 1 and "| y |" not in text
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="marks"):
        put_between_marks(readme, table)
    assert all(mark in (root / "README.md").read_text(encoding="utf-8") for mark in MARKS)


def test_an_unknown_clock_is_named():
    from benchmarks.timing import clock_of

    with pytest.raises(ValueError, match="sun"):
        clock_of(torch.device("cpu"), "sun")
