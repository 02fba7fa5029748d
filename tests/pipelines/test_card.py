"""Model cards: every figure is the evaluation's, all sections are there, the usage runs."""

import dataclasses
import json
import re
import runpy

import pytest
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from PIL import Image

from frr.pipelines.photos.drawings import to_picture
from frr.training.judging.report_mofrr import Evaluation, RestorationRow, RouterRow, to_json
from frr.training.publishing import card
from frr.training.publishing.card_mofrr import SUBJECT

ROWS = tuple(
    RestorationRow(split, what, False, 80, 29.088443, 33.49156951, 0.8254338, 0.911, 0.9, 0.0)
    for split in ("seen", "unseen")
    for what in ("whitening", "mixed", "untouched")
)
ROUTER = (RouterRow("seen", "whitening", False, 480, 0.5, 0.7412345, 0.9, 0.8, 0.0125, None),)
GIVEN = Evaluation("given", 80, 256, 0, None, ROWS)
ROUTED = dataclasses.replace(GIVEN, routing="router", router=ROUTER)
WORDS = ("an estimate, not evidence", "out of scope", "licences", "limits", "norway", "ai act")


@pytest.fixture
def portrait(photos) -> Image.Image:
    return to_picture(photos[0] * 2 - 1).resize((64, 64))


@pytest.fixture
def files(folder, tmp_path):
    weights = card.weights_digest(folder)
    paths = []
    for evaluation in (GIVEN, ROUTED):
        path = tmp_path / f"{evaluation.routing}.json"
        path.write_text(to_json(dataclasses.replace(evaluation, weights=weights)))
        paths.append(path)
    return paths


def test_the_card_holds_the_evaluations_figures(pipe, folder, files, portrait):
    path = card.write_card(pipe, folder, "me/mofrr", files, portrait, "frr 9")
    written = ModelCard.load(path)
    data = written.data
    assert (data.library_name, data.pipeline_tag) == ("diffusers", "image-to-image")
    assert data.license == "apache-2.0" and "diffusers:MoFRRPipeline" in data.tags

    measured = {(r.dataset_config, r.metric_name): r.metric_value for r in data.eval_results}
    assert len(measured) == len(ROWS) * 6 + 1
    for evaluation in (json.loads(file.read_text()) for file in files):
        way = {"given": "operations given", "router": "router deciding"}[evaluation["routing"]]
        for row in evaluation["restoration"]:
            where = f"{row['condition']}, {row['split']} algorithms"
            assert measured[where, f"PSNR restored, dB ({way})"] == row["restored_psnr"]
            assert measured[where, "PSNR of the photo as it came, dB"] == row["copy_psnr"]
    assert measured["whitening, seen algorithms", "ROC-AUC of the router"] == 0.7412345
    assert "The files record the same digest." in written.text
    assert "| seen | whitening | 29.09 | 33.49 | +4.40 |" in written.text


def test_all_sections_are_there_and_nothing_local(pipe, folder, files, portrait, root):
    text = card.write_card(pipe, folder, "me/mofrr", files, portrait, "frr 9").read_text()
    for word in WORDS:
        assert word in text.lower().replace("\n", " "), word
    assert f"]({card.PICTURE_NAME})" in text
    with Image.open(folder / card.PICTURE_NAME) as picture:
        assert picture.width > 4 * 64 and picture.height > 64
    assert str(folder) not in text and str(root) not in text


def test_the_hub_can_read_what_the_card_says(pipe, folder, files, portrait):
    """Widget, Space and model-index as huggingface_hub reads and writes them."""
    path = card.write_card(pipe, folder, "me/mofrr", files, portrait, "frr 9")
    written = ModelCard.load(path)
    (example,) = written.data.widget
    assert example["src"] == f"https://huggingface.co/me/mofrr/resolve/main/{card.EXAMPLE_NAME}"
    assert (folder / example["output"]["url"]).is_file()
    with Image.open(folder / card.EXAMPLE_NAME) as picture:
        assert picture.size == portrait.size
        assert picture.convert("RGB").tobytes() != portrait.tobytes()
    assert f"https://huggingface.co/spaces/{card.SPACE}" in written.text
    index = metadata_load(path)["model-index"]
    name, results = model_index_to_eval_results(index)
    assert name == "me/mofrr"
    assert len(results) == len(written.data.eval_results) > 0
    assert eval_results_to_model_index(name, results) == index
    assert all(isinstance(each.metric_value, float) for each in written.data.eval_results)


def test_the_usage_runs(pipe, folder, files, portrait, tmp_path, monkeypatch):
    text = card.write_card(pipe, folder, "me/mofrr", files, portrait, "frr 9").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert code.count("\n") == 4 and '"me/mofrr"' in code
    monkeypatch.chdir(tmp_path)
    portrait.save("photo.jpg")
    script = tmp_path / "usage.py"
    script.write_text(code.replace('"me/mofrr"', repr(str(folder))))
    runpy.run_path(str(script))
    assert Image.open("restored.png").size == portrait.size


def test_the_card_travels_with_the_folder(pipe, folder, files, portrait, tmp_path):
    card.write_card(pipe, folder, "me/mofrr", files, portrait, "frr 9")
    type(pipe).from_pretrained(folder).save_pretrained(tmp_path / "copy")
    for name in ("README.md", card.PICTURE_NAME, card.EXAMPLE_NAME):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()


def test_other_evidence_is_refused(pipe, folder, files, portrait):
    options = {"portrait": portrait, "made_with": "frr 9"}
    with pytest.raises(ValueError, match="at least one"):
        card.write_card(pipe, folder, "me/mofrr", [], **options)
    files[0].write_text(to_json(dataclasses.replace(GIVEN, weights="0" * 64)))
    with pytest.raises(ValueError, match=r"given\.json was measured with other weights"):
        card.write_card(pipe, folder, "me/mofrr", files, **options)
    files[0].write_text("{}")
    with pytest.raises(ValueError, match=r"given\.json: Not an evaluation"):
        card.write_card(pipe, folder, "me/mofrr", files, **options)
    with pytest.raises(ValueError, match="DDIMPipeline"):
        card.subject_of("DDIMPipeline")
    assert not (folder / "README.md").exists()
    assert SUBJECT.metrics
