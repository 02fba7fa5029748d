"""diffusers' own tests of models, the newer ones and the older ones, on every network."""

import unittest
from typing import Any

import pytest
import torch
from diffusers_suites.networks import Network, as_they_call_it, each_network, inputs_of
from diffusers_suites.upstream import on_any_device, upstream

newer = upstream("newer", "models.testing_utils")
older = upstream("older", "models.test_modeling_common")


class Newer(
    newer.BaseModelTesterConfig,
    newer.ModelTesterMixin,
    on_any_device(newer.TrainingTesterMixin),
    newer.AttentionTesterMixin,
    newer.AttentionBackendTesterMixin,
):
    network: Network
    model_class: Any = None

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.network.answer

    def get_init_dict(self) -> dict[str, Any]:
        return dict(self.network.config)

    def get_dummy_inputs(self) -> dict[str, torch.Tensor]:
        return inputs_of(self.network)

    def test_output(self, base_model_output) -> None:
        assert base_model_output[0].shape == self.output_shape  # theirs is true of any shape
        super().test_output(base_model_output, self.output_shape)


class Accelerated(Newer, newer.MemoryTesterMixin, newer.TorchCompileTesterMixin):
    """What their marks keep for machines with an accelerator, whatever else is run there."""


class Older(older.ModelTesterMixin):
    network: Network

    @property
    def main_input_name(self) -> str:
        return next(iter(self.network.inputs))

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.network.answer

    def prepare_init_args_and_inputs_for_common(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(self.network.config), inputs_of(self.network)

    def test_output(self) -> None:
        super().test_output((2, *self.network.answer))

    @pytest.mark.skip(reason="it starts a process that cannot import a class made here")
    def test_from_save_pretrained_dynamo(self) -> None:
        pass

    @pytest.mark.skip(reason="AutoModel finds a class by its name in diffusers itself")
    def test_auto_model(self) -> None:
        pass


def newer_tests(name: str, network: Network) -> Any:
    parts = {"network": network, "model_class": as_they_call_it(network), "__module__": __name__}
    kind = Accelerated if torch.accelerator.is_available() else Newer
    return type(f"TestNewer{name}", (kind,), parts)


def older_tests(name: str, network: Network) -> Any:
    parts = {"network": network, "model_class": as_they_call_it(network), "__module__": __name__}
    return type(f"TestOlder{name}", (Older, unittest.TestCase), parts)


globals().update(each_network(newer_tests))
globals().update(each_network(older_tests))
