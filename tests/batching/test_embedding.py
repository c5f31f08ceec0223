"""The embedding model leaves the process as it was: the student may have to come from a hub afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sedi_dagster.batching.embedding import embed, model_identity
from sedi_dagster.orchestration.filtering import round_rules
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.seed_pool.languages import language_notes
from sedi_dagster.settings import PROJECT_ROOT, load_settings

sys.path.insert(0, str(Path(__file__).parents[1] / "languages"))
from texts import TWELVE

CODE = """
import os
from sedi_dagster.batching.embedding import BUNDLED, embed
before = dict(os.environ)
assert embed(["A lamp."], BUNDLED).shape == (1, 384)
print(sorted(name for name in os.environ if name.startswith("HF_") and os.environ.get(name) != before.get(name)))
"""


@pytest.mark.slow
def test_loading_the_bundled_model_changes_no_variable_and_asks_no_hub() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env["HF_ENDPOINT"] = f"http://127.0.0.1:{hub.getsockname()[1]}"
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=env, cwd=PROJECT_ROOT)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip() == "[]"
        hub.settimeout(0)
        with pytest.raises(BlockingIOError):
            hub.accept()


def tiny_multilingual(folder: Path, texts: list[str]) -> None:
    """A sentence-transformers folder with random weights and a tokenizer of bytes, for any script."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
    )
    BertModel(config).save_pretrained(folder / "bert")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=256
    ).save_pretrained(folder / "bert")
    words = models.Transformer(str(folder / "bert"))
    SentenceTransformer(modules=[words, models.Pooling(32)]).save(str(folder / "model"))


@pytest.mark.slow
def test_a_multilingual_model_tells_twelve_languages_apart_and_the_rules_by_cosine_read_them(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instructions = [text for language in TWELVE for text in language.instructions()]
    tiny_multilingual(tmp_path, instructions)
    monkeypatch.setenv("SEDI_BATCHING_EMBEDDING_MODEL", str(tmp_path / "model"))
    settings = load_settings()
    vectors = embed(instructions, settings.batching.embedding_model)
    assert vectors.shape == (len(instructions), 32) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors.round(4), axis=0)) == len(set(instructions))
    assert len(model_identity(settings.batching.embedding_model).split()[-1]) == 16
    assert not any("Latin script" in note for note in language_notes(instructions, settings))
    assert not round_rules(SediResource()).latin_only
    monkeypatch.delenv("SEDI_BATCHING_EMBEDDING_MODEL")
    assert round_rules(SediResource()).latin_only


def test_a_relative_folder_is_the_same_model_wherever_a_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("sedi_dagster.batching.embedding.PROJECT_ROOT", tmp_path)
    there = model_identity("./model")
    monkeypatch.chdir(tmp_path)
    assert there == model_identity("./model") != "./model"
