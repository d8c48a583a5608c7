"""A sense is one frozen object: each kind is complete, and is found by its name alone."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from importlib import import_module

import pytest

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses import KINDS, encoder_to_dict, geometry_from_dict, sense_of
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.sound.geometry import SoundGeometry
from tasks.cli import TASKS, look_up
from tests.conftest import ROOT

SOUND = SoundGeometry(2.3, 0.1, 0.08, 29)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_complete(kind: str) -> None:
    sense, geometry = sense_of(kind), import_module(f"multimodal_attn.senses.{kind}.geometry").GEOMETRY
    assert sense.kind == sense.config.sense == geometry.kind == kind
    assert encoder_to_dict(sense.config())["sense"] == kind
    assert KINDS[kind] in TASKS
    assert callable(look_up(sense.figure)) and callable(look_up(sense.maps))
    with pytest.raises(FrozenInstanceError):
        setattr(sense, fields(sense)[0].name, "smell")


def test_another_kind_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match="no sense 'smell'; choose one of picture, sound"):
        sense_of("smell")
    with pytest.raises(ValueError, match="no geometry of kind 'smell'"):
        geometry_from_dict({"kind": "smell"})


def test_a_geometry_comes_back_without_any_network() -> None:
    code = (
        f"import sys; from multimodal_attn.senses import *; print(geometry_from_dict({SOUND.to_dict()}), *sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.startswith(repr(SOUND))
    assert {"torch", "torchaudio", "torchvision", "PIL", "soundfile"} & set(said.split()) == set()


def test_pieces_join_where_they_meet_and_only_those_of_one_model() -> None:
    parts = [SoundGeometry(1.6, 0.0, 0.08, 20), SoundGeometry(2.4, 1.6, 0.08, 11)]
    assert SoundGeometry.join(parts) == (SoundGeometry(2.4, 0.0, 0.08, 31), [0, 20])
    with pytest.raises(ValueError, match="different lengths"):
        SoundGeometry.join([SOUND, SoundGeometry(2.3, 0.1, 0.04, 58)])
    with pytest.raises(ValueError, match="no pieces"):
        PictureGeometry.join([])
