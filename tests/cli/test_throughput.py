"""Photos are loaded and saved in other threads, in order, and what fails there is told."""

import threading
import time

import pytest
import torch
from PIL import Image

from frr.commands.throughput import SaveBehind, Throughput, for_device, load_ahead


def test_items_come_in_order_with_their_own_results_and_errors():
    def load(number):
        time.sleep(0.01 * (number % 2))
        if number == 3:
            raise ValueError("three cannot be read")
        return number**2

    outcomes = {}
    for item, loading in load_ahead(range(6), load):
        try:
            outcomes[item] = loading.result()
        except ValueError as error:
            outcomes[item] = str(error)
    assert list(outcomes.items()) == [
        (0, 0),
        (1, 1),
        (2, 4),
        (3, "three cannot be read"),
        (4, 16),
        (5, 25),
    ]


def test_the_next_ones_load_while_one_is_worked_on_but_not_all():
    begun, second = [], threading.Event()

    def load(number):
        begun.append(number)
        if number == 1:
            second.set()
        return number

    items = load_ahead(range(10), load, ahead=2)
    _, first = next(items)
    assert first.result() == 0
    assert second.wait(5)  # without the first being finished with
    time.sleep(0.05)
    assert max(begun) <= 2
    items.close()
    time.sleep(0.05)
    assert max(begun) <= 2  # those that nobody will fetch are not loaded


def test_results_are_saved_in_order_and_errors_stay_with_their_item():
    saved, told = [], []

    def save(number):
        if number == 1:
            raise OSError("disk full")
        saved.append(number)
        return number

    def collect(finished):
        for item, saving in finished:
            try:
                told.append((item, saving.result()))
            except OSError as error:
                told.append((item, str(error)))

    with SaveBehind(behind=2) as saver:
        for number in range(5):
            saver.put(number, lambda number=number: save(number))
            collect(saver.finished())
            assert len(told) == max(0, number - 1)
        collect(saver.finished(every=True))
    assert saved == [0, 2, 3, 4]
    assert told == [(0, 0), (1, "disk full"), (2, 2), (3, 3), (4, 4)]


def test_the_bottleneck_is_where_the_time_went():
    speed = Throughput()
    with pytest.raises(KeyError), speed.stage("load"):
        raise KeyError
    speed.seconds.update(load=1.0, restore=2.0, save=7.0)
    assert speed.bottleneck == "save"
    assert "bottleneck: save (load 10 %, restore 20 %, save 70 %)" in speed.line(4)
    assert speed.line(4).startswith("4 photos in ")


def test_a_photo_goes_to_the_cpu_as_it_is():
    photo = Image.new("RGB", (4, 3))
    assert for_device(photo, torch.device("cpu")) is photo
