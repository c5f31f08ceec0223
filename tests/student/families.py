"""Tiny random students of the families that people use: each family's real config class and the shape of its chat.

The templates are this project's own, written after the form of each family's: its markers, its white space, what it
does without a system message, how thoughts are switched off. Words of special tokens are the families'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
SMOLLM3 = (
    "{% if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif %}"
    "<|im_start|>system\nMode: {{ '/think' if enable_thinking else '/no_think' }}<|im_end|>\n"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not enable_thinking %}<think>\n\n</think>\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n{% endif %}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "Today: {{ date_string if date_string is defined else strftime_now('%d %b %Y') }}\n\n<|eot_id|>"
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)
GRANITE = (
    "<|start_of_role|>system<|end_of_role|>{{ 'Think first.' if thinking else 'Answer.' }}<|end_of_text|>\n"
    "{% for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}<|end_of_text|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)
OLMO = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% if not loop.last %}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}\n<|assistant|>\n{% endif %}"
)
COHERE = (
    "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>"
    "{{ '<|CHATBOT_TOKEN|>' if m.role == 'assistant' else '<|USER_TOKEN|>' }}{{ m.content }}<|END_OF_TURN_TOKEN|>"
    "{% endfor %}{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A family by its config class, its chat, and which tokens end what."""

    name: str
    config: str
    template: str
    eos: str
    closing: str  # ends an assistant's turn
    bos: str | None = None
    pad: str | None = None
    ends: tuple[str, ...] = ()  # of generation_config
    other: tuple[str, ...] = ()  # further special tokens
    parts: dict[str, Any] = field(default_factory=dict)  # of the config

    @property
    def special(self) -> list[str]:
        named = [self.eos, self.closing, self.bos, self.pad, *self.ends, *self.other]
        return list(dict.fromkeys(token for token in named if token))


_TURN = ("<|im_start|>",)
_MAMBA = {
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
    "mamba_expand": 2,
}
FAMILIES = (
    Family(
        "llama3",
        "LlamaConfig",
        LLAMA3,
        "<|eot_id|>",
        "<|eot_id|>",
        "<|begin_of_text|>",
        None,
        ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        ("<|start_header_id|>", "<|end_header_id|>"),
    ),
    Family(
        "qwen2.5",
        "Qwen2Config",
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        None,
        "<|endoftext|>",
        ("<|im_end|>", "<|endoftext|>"),
        _TURN,
        {"tie_word_embeddings": True},
    ),
    Family(
        "qwen3",
        "Qwen3Config",
        QWEN3,
        "<|im_end|>",
        "<|im_end|>",
        None,
        "<|endoftext|>",
        ("<|im_end|>", "<|endoftext|>"),
        (*_TURN, "<think>", "</think>"),
        {"head_dim": 8, "tie_word_embeddings": True},
    ),
    Family(
        "gemma2",
        "Gemma2Config",
        GEMMA,
        "<eos>",
        "<end_of_turn>",
        "<bos>",
        "<pad>",
        ("<eos>", "<end_of_turn>"),
        ("<start_of_turn>",),
        {"head_dim": 8, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 3.0, "sliding_window": 16},
    ),
    Family(
        "gemma3",
        "Gemma3TextConfig",
        GEMMA,
        "<eos>",
        "<end_of_turn>",
        "<bos>",
        "<pad>",
        ("<eos>", "<end_of_turn>"),
        ("<start_of_turn>",),
        {"head_dim": 8, "sliding_window": 16},
    ),
    Family(
        "phi3",
        "Phi3Config",
        PHI,
        "<|endoftext|>",
        "<|end|>",
        None,
        "<|endoftext|>",
        ("<|endoftext|>", "<|assistant|>", "<|end|>"),
        ("<|user|>",),
    ),
    Family("mistral", "MistralConfig", MISTRAL, "</s>", "</s>", "<s>", None, ("</s>",), ("[INST]", "[/INST]")),
    Family(
        "smollm2",
        "LlamaConfig",
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        "<|im_start|>",
        "<|im_end|>",
        ("<|im_end|>",),
        (),
        {"tie_word_embeddings": True},
    ),
    Family(
        "smollm3",
        "SmolLM3Config",
        SMOLLM3,
        "<|im_end|>",
        "<|im_end|>",
        None,
        "<|im_end|>",
        ("<|im_end|>",),
        _TURN,
        {"tie_word_embeddings": True},
    ),
    Family(
        "granite",
        "GraniteConfig",
        GRANITE,
        "<|end_of_text|>",
        "<|end_of_text|>",
        None,
        "<|end_of_text|>",
        ("<|end_of_text|>",),
        ("<|start_of_role|>", "<|end_of_role|>"),
        {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22},
    ),
    Family(
        "olmo2",
        "Olmo2Config",
        OLMO,
        "<|endoftext|>",
        "<|endoftext|>",
        "<|endoftext|>",
        "<|pad|>",
        ("<|endoftext|>",),
        ("<|user|>", "<|assistant|>"),
    ),
    Family(
        "cohere",
        "CohereConfig",
        COHERE,
        "<|END_OF_TURN_TOKEN|>",
        "<|END_OF_TURN_TOKEN|>",
        "<BOS_TOKEN>",
        "<PAD>",
        ("<|END_OF_TURN_TOKEN|>",),
        ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
        {"logit_scale": 0.0625, "tie_word_embeddings": True},
    ),
    Family(
        "mixtral",
        "MixtralConfig",
        MISTRAL,
        "</s>",
        "</s>",
        "<s>",
        None,
        ("</s>",),
        ("[INST]", "[/INST]"),
        {"num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    Family(
        "granite4",  # a hybrid that has the settings of a mixture of experts, and no experts
        "GraniteMoeHybridConfig",
        GRANITE,
        "<|end_of_text|>",
        "<|end_of_text|>",
        None,
        "<|pad|>",
        ("<|end_of_text|>",),
        ("<|start_of_role|>", "<|end_of_role|>"),
        {
            **_MAMBA,
            "layer_types": ["mamba", "attention"],
            "num_local_experts": 0,
            "shared_intermediate_size": 32,
            "logits_scaling": 8.0,
        },
    ),
    Family(
        "falcon-h1",
        "FalconH1Config",
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        None,
        "<|pad|>",
        ("<|im_end|>",),
        _TURN,
        {**_MAMBA, "mamba_d_ssm": 32},
    ),
    Family(  # its layers are another's by name, and its router is a linear layer that returns two things
        "llama4",
        "Llama4TextConfig",
        LLAMA3,
        "<|eot_id|>",
        "<|eot_id|>",
        "<|begin_of_text|>",
        "<|pad|>",
        ("<|eot_id|>",),
        ("<|start_header_id|>", "<|end_header_id|>"),
        {"head_dim": 8, "num_local_experts": 2, "intermediate_size_mlp": 32, "attention_chunk_size": 512},
    ),
    Family(  # its state is not gone on from
        "jamba",
        "JambaConfig",
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        None,
        "<|pad|>",
        ("<|im_end|>",),
        _TURN,
        {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 1, "mamba_d_state": 8},
    ),
    Family(  # no cache is returned, and the last layer of a block is read by a kernel
        "mamba",
        "MambaConfig",
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        None,
        "<|pad|>",
        ("<|im_end|>",),
        _TURN,
        {"state_size": 8, "intermediate_size": 32},
    ),
    Family(  # its config says to keep no cache
        "mpt",
        "MptConfig",
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        None,
        "<|pad|>",
        ("<|im_end|>",),
        _TURN,
        {"max_seq_len": 512},
    ),
)
_SIZE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}


def write_student(family: Family, folder: Path) -> Path:
    """A random student of the family, as `from_pretrained` takes it; its words are bytes."""
    import tokenizers
    import torch
    import transformers

    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    bytewise = tokenizers.Tokenizer(tokenizers.models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    bytewise.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bytewise, bos_token=family.bos, eos_token=family.eos, pad_token=family.pad
    )
    tokenizer.add_special_tokens({"additional_special_tokens": family.special})
    tokenizer.chat_template = family.template
    tokenizer.save_pretrained(folder)
    named = {"bos": family.bos, "eos": family.eos, "pad": family.pad}
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in named.items() if token}
    torch.manual_seed(0)
    config = getattr(transformers, family.config)(**_SIZE | family.parts, vocab_size=len(tokenizer), **ids)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # random weights of the usual size would hardly tell one token from another
        for weights in model.parameters():
            weights.mul_(8.0 if weights.ndim > 1 else 1.0)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(family.ends))
    model.save_pretrained(folder)
    return folder
