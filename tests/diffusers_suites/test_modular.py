"""diffusers' own tests of modular pipelines, on repositories that `save_pretrained` writes.

Blocks and networks are those of the repository's own code.
"""

import shutil
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from diffusers import ModularPipeline
from diffusers_suites.pipelines import BPFRe, MoFRR
from diffusers_suites.upstream import upstream

from frr.pipelines.operations import OPERATIONS

newer = upstream("newer", "modular_pipelines.testing_utils")


def steps(route: str, *experts: str) -> list[tuple[str, str]]:
    """Names and classes of a restoration's blocks."""
    before = [("read", "ReadBlock"), ("route", route), ("noise", "NoiseBlock")]
    middle = [(name, "ExpertBlock") for name in (*experts, "shared")]
    return [*before, *middle, ("merge", "MergeBlock"), ("decode", "DecodeBlock")]


class Modular(
    newer.BaseModularPipelineTesterConfig,
    newer.ModularPipelineTesterMixin,
    newer.ModularLoadingTesterMixin,
    newer.ModularMemoryTesterMixin,
    newer.ModularWorkflowTesterMixin,
):
    batch_params = frozenset({"image"})
    pretrained_model_name_or_path: Any = None
    pipeline_blocks_class: Any = None

    @pytest.fixture(scope="class", autouse=True)
    def repository(self, request, tmp_path_factory) -> Any:
        """What all tests of a class load from; they do not say that they trust its code."""
        folder = tmp_path_factory.mktemp("modular")
        request.cls.pretrained_model_name_or_path = str(folder)
        self.pipeline_class(**self.get_dummy_components()).save_pretrained(folder)

        def save(pipeline: Any, other: str, **given: Any) -> None:
            """As diffusers does, which writes no code; and as the index was, as they expect."""
            original(pipeline, other, overwrite_modular_index=False, **given)
            for file in (*folder.glob("*.py"), folder / "modular_config.json"):
                shutil.copy(file, other)

        original = ModularPipeline.save_pretrained
        with pytest.MonkeyPatch.context() as patch:
            trusting = partial(ModularPipeline.from_pretrained, trust_remote_code=True)
            patch.setattr(ModularPipeline, "from_pretrained", trusting)
            patch.setattr(ModularPipeline, "save_pretrained", save)
            request.cls.pipeline_blocks_class = type(trusting(folder).blocks)
            yield

    @property
    def params(self) -> frozenset:
        return self.call

    @property
    def optional_params(self) -> frozenset:
        return self.usual - {"return_dict", "generator", "latents"}

    def get_dummy_inputs(self, seed: int = 0) -> dict[str, Any]:
        given = self.example("pt")
        return {name: each for name, each in given.items() if name in self.params | self.usual}


class TestModularMoFRR(MoFRR, Modular):
    expected_workflow_blocks = MappingProxyType(
        {"restore": steps("JudgedBlock", *OPERATIONS)}
        | {name: steps("GivenBlock", name) for name in OPERATIONS}
    )


class TestModularBPFRe(BPFRe, Modular):
    expected_workflow_blocks = MappingProxyType(
        {"retouch": [("work", "RetouchBlock")], "inpaint": [("work", "InpaintBlock")]}
    )

    def get_generator(self, seed: int = 0) -> None:
        """BPFRe draws no noise."""
