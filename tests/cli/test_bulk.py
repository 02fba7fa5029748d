"""Large runs: blocks of bytes as one process works on them, who works, the list, and Ray itself."""

import json
import shutil
from pathlib import Path

import click
import pytest

from frr.commands.bulk import layout_of
from frr.commands.photos import Job
from frr.commands.restoring import Restoring, Settings
from frr.commands.results import LIST_NAME, Results
from frr.commands.retouching import Retouching
from frr.commands.station import Station
from frr.pipelines.operations import OPERATIONS

from .conftest import face_like

SETTINGS = Settings({"whitening"}, {}, 1, 1.0, 1, 0, None, True)


@pytest.fixture
def album(tmp_path) -> Path:
    """Photos of three sizes, and two files that are none."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number, size in enumerate([(64, 64), (80, 64), (48, 72)]):
        face_like(number, size).save(folder / f"photo {number}.png")
    (folder / "cut.png").write_bytes((folder / "photo 0.png").read_bytes()[:200])
    (folder / "empty.jpg").write_bytes(b"")
    return folder


def block_of(album: Path) -> dict[str, list]:
    files = sorted(album.iterdir())
    return {"path": [str(file) for file in files], "bytes": [file.read_bytes() for file in files]}


def recipe(model: str) -> Restoring:
    return Restoring(model, "cpu", "float32", SETTINGS, OPERATIONS)


def station(model: str, album: Path, folder: Path, **options: bool) -> Station:
    import torch

    folder.mkdir(exist_ok=True)
    jobs = {str(file): Job(file, folder / f"{file.stem}.png") for file in album.iterdir()}
    place = Path.cwd()
    return Station(recipe(model), jobs, folder, place, torch.get_num_threads(), **options)


def test_a_block_gives_the_files_of_a_plain_run_and_errors_as_rows(frr, album, model):
    frr("restore", album, "-o", "plain", "--model", model, "--operations", "whitening", status=1)
    block = block_of(album)
    answer = station(model, album, Path("shared"))(block)
    rows = [json.loads(row) for row in answer["row"]]
    assert answer["path"] == block["path"] == [row["path"] for row in rows]
    assert [row.get("error") is None for row in rows] == [False, False, True, True, True]
    assert "cannot be read as a picture" in rows[1]["error"]
    assert rows[2]["undone"] == ["whitening"] and rows[2]["seconds"] > 0
    assert sorted(p.name for p in Path("shared").glob("*.png")) == [
        f"photo {number}.png" for number in range(3)
    ]
    for made in Path("shared").glob("*.png"):
        assert made.read_bytes() == (Path("plain") / made.name).read_bytes()


def test_what_one_process_wrote_the_next_knows_after_the_lists_are_gathered(album, model, frr):
    first = station(model, album, Path("out"))
    first(block_of(album))
    assert not Path("out", LIST_NAME).exists()
    Results(Path("out")).gather()
    assert [path.name for path in Path("out").glob(f"{LIST_NAME}*")] == [LIST_NAME]
    assert all(Results(Path("out")).is_own(path) for path in Path("out").glob("*.png"))
    again = [json.loads(row) for row in station(model, album, Path("out"))(block_of(album))["row"]]
    assert "is there already" in again[2]["error"]
    over = station(model, album, Path("out"), overwrite=True)(block_of(album))
    assert "error" not in json.loads(over["row"][2])


def test_a_folder_that_this_machine_does_not_see_is_refused(model, album):
    with pytest.raises(ValueError, match="all machines see"):
        Station(recipe(model), {}, Path("not/there"), Path.cwd(), 1)


@pytest.mark.parametrize(
    ("cores", "gpus", "device", "wished", "expected"),
    [
        (2, 0, None, None, (2, 0, 0.8, 1)),
        (8, 0, "cpu", 2, (2, 0, 0.8, 4)),
        (2, 0, None, 4, (4, 0, 0.4, 1)),
        (32, 8, None, None, (8, 1, 0.8, 4)),
        (4, 8, None, None, (8, 1, 0.4, 1)),
        (32, 8, "cpu", None, (32, 0, 0.8, 1)),
        (32, 8, "cuda", 3, (3, 1, 0.8, 10)),
    ],
)
def test_who_works(cores, gpus, device, wished, expected):
    assert tuple(layout_of(cores, gpus, device, wished)) == expected
    layout = layout_of(cores, gpus, device, wished)
    assert layout.actors * layout.cores <= 0.8 * cores + 0.01  # readers find room


def test_what_ray_could_only_wait_for_is_refused():
    with pytest.raises(click.ClickException, match="no GPU"):
        layout_of(2, 0, "cuda", None)
    with pytest.raises(click.ClickException, match="cpu or cuda"):
        layout_of(2, 1, "cuda:0", None)
    with pytest.raises(click.ClickException, match="1 GPU"):
        layout_of(2, 1, None, 2)


def test_addresses_take_ray(frr, photo, model):
    shown = frr("restore", photo, "s3://bucket/folder", "-o", "out", "--model", model, status=1)
    assert "--ray" in shown.stderr and Path("out/one.png").is_file()


def test_a_list_reads_back_with_empty_cells_where_a_photo_failed(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    from frr.commands.listing import CHUNK, listing

    recipes = (recipe("model"), Retouching("model", "cpu", "float32", None, None))
    reports = (
        {"routing": dict.fromkeys(OPERATIONS, 0.5), "degrees": dict.fromkeys(OPERATIONS, 0.0)}
        | {"active": ["smoothing"]},
        {"changed": 0.25, "largest_blemish": 0.5, "findings": [{"kind": "spots"}] * 2},
    )
    for place, (how, report) in enumerate(zip(recipes, reports, strict=True)):
        path = tmp_path / f"{place}.parquet"
        with listing(path, how.columns) as rows:
            for number in range(CHUNK + 1):
                rows.add({"path": f"{number}.png", "seconds": 1.0, **how.row(report)})
            rows.add({"path": "broken.png", "error": "cannot be read"})
        table = parquet.read_table(path).to_pylist()
        assert len(table) == CHUNK + 2
        assert {name: table[CHUNK][name] for name in how.columns} == how.row(report)
        assert table[-1]["error"] == "cannot be read" and table[-1]["seconds"] is None
        assert all(table[-1][name] is None for name in how.columns)


def test_ray_makes_the_same_files_goes_on_and_lists_all(frr, album, model):
    ray = pytest.importorskip("ray")
    parquet = pytest.importorskip("pyarrow.parquet")
    options = ("--model", model, "--operations", "whitening")
    frr("restore", album, "-o", "plain", *options, status=1)
    shared = Path("shared")
    try:
        shown = frr("restore", album, "-o", shared, *options, "--ray", "--actors", 1, status=1)
        assert "cut.png: cannot be read" in shown.stderr and "2 of them failed" in shown.stderr
        made = {path.name: path.stat().st_mtime_ns for path in shared.glob("*.png")}
        (shared / "photo 1.png").unlink()
        for name in ("cut.png", "empty.jpg"):
            shutil.copy(album / "photo 0.png", album / name)
        shown = frr("restore", album, "-o", shared, *options, "--ray", "--actors", 1, "--resume")
    finally:
        ray.shutdown()
    assert "2 photo(s) were done before" in shown.stderr
    assert (shared / "photo 0.png").stat().st_mtime_ns == made["photo 0.png"]
    for number in range(3):
        name = f"photo {number}.png"
        assert (shared / name).read_bytes() == (Path("plain") / name).read_bytes()
    table = parquet.read_table(shared / "photos.parquet").to_pylist()
    assert sorted(row["path"] for row in table) == sorted(str(path) for path in album.iterdir())
    assert all(row["error"] is None and row["undone"] == ["whitening"] for row in table)
    assert [path.name for path in shared.glob(".frr-*")] == [LIST_NAME]
