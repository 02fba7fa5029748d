"""diffusers' own tests of pipelines, the newer ones and the older ones, on MoFRR and BPFRe."""

import unittest
from typing import Any

import pytest
from diffusers_suites.pipelines import BPFRe, MoFRR, NoisyMoFRR
from diffusers_suites.upstream import upstream

newer = upstream("newer", "pipelines.testing_utils")
newer_memory = upstream("newer", "pipelines.testing_utils.memory")
older = upstream("newer", "pipelines.test_pipelines_common")  # stands beside the newer one


class Newer(
    newer.BasePipelineTesterConfig,
    newer.PipelineTesterMixin,
    newer_memory.PipelineOffloadTesterMixin,
    newer_memory.GroupOffloadTesterMixin,
):
    batch_input_params = frozenset({"image"})

    @property
    def required_input_params_in_call_signature(self) -> frozenset:
        return self.call

    @property
    def optional_input_params(self) -> frozenset:
        return self.usual

    def get_dummy_inputs(self) -> dict[str, Any]:
        return self.example("pt")

    def test_save_load_optional_components(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(self.pipeline_class, "_optional_components", sorted(self.needless))
        super().test_save_load_optional_components(tmp_path)


class Older(older.PipelineTesterMixin, older.PipelineLatentTesterMixin):
    batch_params = image_params = frozenset({"image"})
    image_latents_params = callback_cfg_params = frozenset()
    test_attention_slicing = test_xformers_attention = False  # of a unet
    test_layerwise_casting = test_group_offloading = False  # likewise; see test_loading.py

    @property
    def params(self) -> frozenset:
        return self.call

    @property
    def required_optional_params(self) -> frozenset:
        return self.usual

    def get_dummy_inputs(self, device: str, seed: int = 0) -> dict[str, Any]:
        return self.example("np")

    def test_save_load_optional_components(self, expected_max_difference: float = 1e-4) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.pipeline_class, "_optional_components", sorted(self.needless))
            super().test_save_load_optional_components(expected_max_difference)

    @unittest.skip("there is no VAE")
    def test_multi_vae(self) -> None:
        pass


class TestNewerMoFRR(MoFRR, Newer):
    pass


class TestNewerBPFRe(BPFRe, Newer):
    pass


class TestOlderMoFRR(MoFRR, Older, unittest.TestCase):
    pass


class TestOlderBPFRe(BPFRe, Older, unittest.TestCase):
    pass


class TestSchedulers(NoisyMoFRR, older.PipelineKarrasSchedulerTesterMixin, unittest.TestCase):
    def get_dummy_inputs(self, device: str, seed: int = 0) -> dict[str, Any]:
        return self.example("np")
