"""Students that people have and that are not as the families' own: trained and asked alike, or refused in a sentence.

What a library would do without a word is the worst: weights that are missing are random, a template that ends no answer
teaches none to end, a row beyond the vocabulary ends in an index error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from sedi_dagster.errors import ModelError, WorkloadError
from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.evaluation.results import read_results
from sedi_dagster.settings import load_settings
from sedi_dagster.student.chat import answer_ids, closing_token, question_text, token_ids, trained_ids
from sedi_dagster.student.check import check_student
from sedi_dagster.student.loading import _check_complete, load_student, load_tokenizer, token_counter
from sedi_dagster.student.reading import takes_padding
from sedi_dagster.training.setup import encode
from sedi_dagster.training.sft import train
from tests.student.families import CHATML, FAMILIES, Family, write_student
from tests.student.test_families import items
from tests.training.conftest import job_for, silent, training_rows

BY_NAME = {family.name: family for family in FAMILIES}
ASK, SAY = "What is it?", "A lamp."


def student_of(folder: Path, template: str = CHATML, name: str = "qwen2.5") -> Path:
    family: Family = replace(BY_NAME[name], template=template)
    return write_student(family, folder / "student")


def change(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


GLM = (  # ends no answer: the next turn does
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
R1 = (  # opens a thought to be answered in, and renders an answer without one
    "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}"
    "{% else %}<A>{{ m.content }}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<A><think>\n{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "answer"),
    [(GLM, SAY + "<|im_end|>"), (R1, f"\n</think>\n\n{SAY}<|im_end|>"), (CHATML, SAY + "<|im_end|>\n")],
    ids=["ends no answer", "opens a thought", "usual"],
)
def test_a_row_is_trained_after_what_the_student_is_asked_with_and_has_an_end(
    tmp_path: Path, template: str, answer: str
) -> None:
    student = str(student_of(tmp_path, template))
    tokenizer = load_tokenizer(student)
    ((context, said),) = trained_ids(tokenizer, [(ASK, SAY)])
    assert context == token_ids(tokenizer, question_text(tokenizer, ASK))
    assert tokenizer.decode(said) == answer
    assert answer_ids(tokenizer, ASK, SAY) == said[: said.index(closing_token(tokenizer)) + 1]
    (row,) = encode(tokenizer, pl.DataFrame({"prompt": [ASK], "output": [SAY]}))
    assert row.input_ids == [*context, *said] and row.answer == said and row.context == context
    assert token_counter(student)([ASK], [SAY]) == [len(context) + len(said)]


def test_an_answer_begins_as_in_the_whole_chat_where_a_tokenizer_puts_a_blank_before_each_text(tmp_path: Path) -> None:
    """Llama 2 and the first Mistral: an answer tokenised by itself would begin with another token."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {
        word: number for number, word in enumerate(["</s>", "<unk>", "[", "]", "▁A", "▁lamp", "▁▁A", "▁", "A", "?"])
    }
    model = tokenizers.models.WordLevel(words, unk_token="<unk>")
    fast = tokenizers.Tokenizer(model)
    fast.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("▁*[^▁]+"), "isolated")
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}[ {{ m.content }} ]{% else %} {{ m.content }}</s>{% endif %}"
        "{% endfor %}"
    )
    ((_, said),) = trained_ids(tokenizer, [("A", "A lamp")])
    assert tokenizer.convert_ids_to_tokens(said) == ["▁A", "▁lamp", "</s>"]


def test_a_template_that_asks_for_todays_date_gets_the_same_every_day(tmp_path: Path) -> None:
    template = "{% set now = strftime_now('%d %B %Y') %}<|im_start|>{{ now }}|{{ strftime_now('%Y-%m-%d') }}" + CHATML
    student = student_of(tmp_path, template)
    tokenizer = load_tokenizer(str(student))
    assert question_text(tokenizer, ASK).startswith("<|im_start|>26 July 2024|2024-07-26<|im_start|>user")
    assert tokenizer.chat_template == template  # as a checkpoint keeps it


def test_an_end_is_found_where_the_tokenizer_names_none(tmp_path: Path) -> None:
    student = student_of(tmp_path, name="smollm2")
    change(student / "tokenizer_config.json", eos_token=..., pad_token=...)
    tokenizer = load_tokenizer(str(student))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    change(student / "tokenizer_config.json", eos_token=...)
    (student / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    with pytest.raises(ModelError, match=r"Neither the tokenizer of .* ends an answer"):
        load_tokenizer(str(student))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{% if messages[0].role != 'system' %}{{ raise_exception('system first') }}{% endif %}" + CHATML,
            "system first",
        ),
        ("{% for m in messages %}{{ m.content }", "unexpected"),
        (
            "{% for m in messages %}{% for c in m.content %}{{ c.text }}{% endfor %}{% endfor %}",
            "leaves out the question",
        ),
        (
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
            "leaves out the answer",
        ),
    ],
)
def test_a_template_that_cannot_be_used_is_told_before_anything_is_spent(
    tmp_path: Path, template: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sedi_dagster.orchestration.preflight import _check_models

    monkeypatch.setenv("SEDI_TRAINING_STUDENT", str(student_of(tmp_path, template)))
    with pytest.raises(ModelError, match=f"(?s)chat template of .*{message}.*chat_template.jinja"):
        _check_models(load_settings())


def test_a_base_model_without_a_chat_template_is_told_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sedi_dagster.orchestration.preflight import _check_models

    student = student_of(tmp_path)
    (student / "chat_template.jinja").unlink()
    monkeypatch.setenv("SEDI_TRAINING_STUDENT", str(student))
    with pytest.raises(ModelError, match="no chat template"):
        _check_models(load_settings())


def lack_a_layer(student: Path) -> None:
    weights = load_file(student / "model.safetensors")
    save_file(
        {name: w for name, w in weights.items() if "1.mlp" not in name}, student / "model.safetensors", {"format": "pt"}
    )


def count_fewer_layers(student: Path) -> None:
    types = json.loads((student / "config.json").read_text()).get("layer_types")
    change(student / "config.json", num_hidden_layers=1, **({"layer_types": types[:1]} if types else {}))


def rename(student: Path) -> None:
    weights = load_file(student / "model.safetensors")
    save_file({f"base_model.{name}": w for name, w in weights.items()}, student / "model.safetensors", {"format": "pt"})


def truncate(student: Path) -> None:
    file = student / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def spoil_a_number(student: Path) -> None:
    weights = load_file(student / "model.safetensors")
    next(iter(weights.values()))[0] = float("nan")
    save_file(weights, student / "model.safetensors", {"format": "pt"})


def point_elsewhere(student: Path) -> None:
    (student / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lack_a_layer, r"lacks 3 of its model's weights \(model.layers.1.mlp"),
        (rename, "lacks .* of its model's weights"),
        (truncate, "safetensors file of .* is damaged"),
        (point_elsewhere, "is damaged.*git lfs pull"),
        (lambda student: change(student / "config.json", intermediate_size=64), "shapes of its weights"),
        (count_fewer_layers, r"more layers than its config.json \(12, such as model.layers.1.input"),
        (
            lambda student: change(student / "config.json", model_type="mystery", auto_map={"AutoConfig": "m.C"}),
            "never run",
        ),
        (
            lambda student: change(student / "config.json", hidden_act="mystery"),
            "contain 'mystery', which is unknown to this version",
        ),
        (spoil_a_number, "values that are not finite"),
    ],
)
def test_weights_that_are_not_all_there_are_told(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    student = student_of(tmp_path)
    spoil(student)
    with pytest.raises(ModelError, match=f"(?s){message}"):
        takes_padding(load_student(str(student), None).eval())


@pytest.mark.parametrize("spoil", [truncate, point_elsewhere])
def test_a_damaged_file_of_weights_is_told_before_anything_is_spent(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    student = student_of(tmp_path)
    spoil(student)
    with pytest.raises(ModelError, match=r"(?s)student/model.safetensors' is damaged.*git lfs pull"):
        check_student(str(student), "SEDI_X")


def test_layers_that_predict_further_tokens_are_left_out_as_the_config_counts_them(tmp_path: Path) -> None:
    """GLM and DeepSeek have them behind the last layer; transformers knows those of some models, by their number."""
    student = student_of(tmp_path)
    count_fewer_layers(student)
    change(student / "config.json", num_nextn_predict_layers=1)
    assert len(load_student(str(student), None).model.layers) == 1


def test_a_weight_that_a_counted_layer_does_not_need_is_no_further_layer(tmp_path: Path) -> None:
    """Such as keys of a layer that takes those of another one."""
    student = student_of(tmp_path)
    weights = load_file(student / "model.safetensors")
    weights["model.layers.1.self_attn.k_norm.weight"] = weights["model.norm.weight"].clone()
    save_file(weights, student / "model.safetensors", {"format": "pt"})
    load_student(str(student), None)
    names = ["model.layers.0.self_attn.k_norm.weight", "model.layers.1.self_attn.q_norm.weight"]
    _check_complete("it", [], ["model.layers.1.self_attn.k_norm.weight"], names, 0)
    with pytest.raises(ModelError, match=r"such as model.layers.2.self_attn.k_norm"):
        _check_complete("it", [], ["model.layers.2.self_attn.k_norm.weight"], names, 0)


def shards(student: Path) -> Path:
    """The weights in several files, and their index."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(student)
    (student / "model.safetensors").unlink()
    model.save_pretrained(student, max_shard_size="20KB")
    return student / "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda index: None, None),
        (lambda index: max(index.parent.glob("model-*")).unlink(), r"lacks 1 of its 2 weights files \(model-00002"),
        (lambda index: max(index.parent.glob("model-*")).write_text("<html>"), "00002.safetensors' is damaged"),
        (lambda index: index.write_text("{"), "index.json is damaged"),
        (lambda index: index.unlink(), r"neither model.safetensors nor .*only model-00001-of-00002.safetensors"),
    ],
    ids=["whole", "a file missing", "a file damaged", "index damaged", "index missing"],
)
def test_weights_in_several_files_are_told_by_what_is_missing(
    tmp_path: Path, spoil: Callable[[Path], object], message: str | None
) -> None:
    student = student_of(tmp_path)
    spoil(shards(student))
    if message is None:
        check_student(str(student), "SEDI_X")
    else:
        with pytest.raises(ModelError, match=f"(?s){message}"):
            check_student(str(student), "SEDI_X")


@pytest.mark.parametrize("kind", ["Qwen2VLConfig", "Mistral3Config", "T5Config"])
def test_a_kind_of_model_that_is_no_causal_one_is_told_before_anything_is_spent(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    from sedi_dagster.orchestration.preflight import _check_models

    student = student_of(tmp_path)
    getattr(transformers, kind)().save_pretrained(student)
    monkeypatch.setenv("SEDI_TRAINING_STUDENT", str(student))
    with pytest.raises(ModelError, match=r"(?s)causal language model.*Set SEDI_TRAINING_STUDENT to a "):
        _check_models(load_settings())


def test_of_a_model_for_images_the_part_for_text_is_adapted(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, Gemma3Config, Gemma3ForConditionalGeneration

    student = student_of(tmp_path)
    for file in ("model.safetensors", "config.json"):
        (student / file).unlink()
    size = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    text = {**size, "num_hidden_layers": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 300}
    images = {**size, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14}
    torch.manual_seed(0)
    config = Gemma3Config(text_config=text, vision_config=images, mm_tokens_per_image=4, image_token_index=299)
    Gemma3ForConditionalGeneration(config).save_pretrained(student)
    train(job_for(student, tmp_path / "out", rows=4, precision="fp32"), silent)
    adapted = load_file(tmp_path / "out" / "checkpoint" / "adapter_model.safetensors")
    assert adapted and all("language_model" in name for name in adapted)
    tokenizer, plain = load_tokenizer(str(student)), AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    rows = encode(tokenizer, training_rows(4))
    said = [
        torch.nn.functional.cross_entropy(
            plain(input_ids=torch.tensor([row.input_ids])).logits[0, -1 - len(row.answer) : -1],
            torch.tensor(row.answer),
            reduction="sum",
        )
        for row in rows
    ]
    loss = float(sum(said)) / sum(len(row.answer) for row in rows)
    assert pl.read_parquet(tmp_path / "out" / "steps.parquet")["loss"][0] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_encoder_decoder": True, "model_type": "t5"}, "encoder-decoder"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "LlamaForSequenceClassification"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantized \(gptq\)(?=.*unquantized model)"),
        ({"quantization": {"group_size": 64, "bits": 4}}, r"quantized \(MLX\)(?=.*unquantized model)"),
    ],
)
def test_a_model_that_cannot_be_trained_is_told_by_its_config(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    student = student_of(tmp_path)
    change(student / "config.json", **changes)
    with pytest.raises(ModelError, match=f"(?s){message}.*SEDI_X"):
        check_student(str(student), "SEDI_X")


def test_a_reference_may_be_quantised_and_an_adapter_is_no_model(tmp_path: Path) -> None:
    student = student_of(tmp_path)
    change(student / "config.json", quantization_config={"quant_method": "awq"})
    check_student(str(student), "SEDI_X", trained=False)
    (student / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="is an adapter"):
        check_student(str(student), "SEDI_X")


@pytest.mark.parametrize("content", ["[]", '{"model_type": '])
def test_a_config_that_is_no_json_object_is_told(tmp_path: Path, content: str) -> None:
    student = student_of(tmp_path)
    (student / "config.json").write_text(content)
    with pytest.raises(ModelError, match="not a JSON object"):
        check_student(str(student), "SEDI_X")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_student(str(student), None)


def test_a_tokenizer_without_its_vocabulary_is_told(tmp_path: Path) -> None:
    """transformers makes one all the same, of the special tokens alone."""
    student = student_of(tmp_path)
    (student / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"(?s)cannot write plain text.*tokenizer.json again.*SEDI_X"):
        load_tokenizer(str(student), "SEDI_X")


def test_a_reference_that_cannot_be_loaded_is_told_by_its_own_setting(tmp_path: Path) -> None:
    student = student_of(tmp_path)
    truncate(student)
    change(student / "config.json", model_type="mystery")
    job = {"student": str(student), "adapter": None, "items": items(), "batch_size": 6, "results": str(tmp_path / "r")}
    with pytest.raises(ModelError, match=r"(?s)cannot be loaded.*Set SEDI_EVALUATION_REFERENCE"):
        evaluate(job | {"setting": "SEDI_EVALUATION_REFERENCE"}, silent)


def test_a_tokenizer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    student = student_of(tmp_path)
    (student / "tokenizer.json").write_text('{"model": {"type": "Nope"}}')
    with pytest.raises(ModelError, match="no usable tokenizer"):
        load_tokenizer(str(student))


def test_a_word_without_an_embedding_is_told_and_padding_without_one_does_no_harm(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    student = student_of(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(student)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(student)
    train(job_for(student, tmp_path / "padded", rows=4), silent)
    tokenizer.add_tokens(["number"])
    tokenizer.save_pretrained(student)
    with pytest.raises(ModelError, match=r"(?s)'number' as token \d+, but the model has \d+ embeddings.*resize"):
        train(job_for(student, tmp_path / "more", rows=4), silent)


def test_a_row_beyond_the_positions_of_the_student_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sedi_dagster.orchestration.preflight import _check_models

    student = student_of(tmp_path)
    change(student / "config.json", max_position_embeddings=64)
    with pytest.raises(WorkloadError, match=r"(?s)has only 64 positions.*SEDI_TRAINING_MAX_LENGTH to 64"):
        train(job_for(student, tmp_path / "out", rows=4), silent)
    monkeypatch.setenv("SEDI_TRAINING_STUDENT", str(student))
    monkeypatch.setenv("SEDI_TRAINING_MAX_LENGTH", "65")
    with pytest.raises(ModelError, match=r"(?s)=65 is more than the 64 positions.*to 64 or less"):
        _check_models(load_settings())
    monkeypatch.setenv("SEDI_TRAINING_MAX_LENGTH", "64")
    _check_models(load_settings())


def test_an_answer_ends_with_the_positions_and_an_item_beyond_them_is_told(tmp_path: Path) -> None:
    """GPT-2 has no embedding for a position that it does not know."""
    student = random_student(tmp_path, "GPT2Config", max_position_embeddings=100)
    results = tmp_path / "r.jsonl"
    tokenizer = load_tokenizer(str(student))
    item = items()[0] | {"max_answer_tokens": 500}
    room = 100 - len(token_ids(tokenizer, question_text(tokenizer, item["prompt"])))
    job = {"student": str(student), "adapter": None, "batch_size": 6, "results": str(results)}
    evaluate(job | {"items": [item]}, silent)
    (row,) = read_results(results).values()
    assert 0 < row["answer_tokens"] <= room and row["truncated"] == (row["answer_tokens"] == room)
    with pytest.raises(WorkloadError, match=r"(?s)Item i5 and its reference.*has only 100 positions.*Remove the item"):
        evaluate(job | {"items": [item, items()[5]]}, silent)


def test_a_mixture_of_experts_that_was_trained_whole_is_answered_by_and_keeps_its_config(tmp_path: Path) -> None:
    student = write_student(BY_NAME["mixtral"], tmp_path / "student")
    train(job_for(student, tmp_path / "out", rows=4, method="full"), silent)
    checkpoint = tmp_path / "out" / "checkpoint"
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (student, checkpoint))
    for name in ("output_router_logits", "router_aux_loss_coef"):
        assert after[name] == before[name]
    results = tmp_path / "results.jsonl"
    job = {"student": str(student), "adapter": str(checkpoint), "items": items(), "batch_size": 6}
    evaluate(job | {"results": str(results)}, silent)
    assert len(read_results(results)) == 6


@pytest.mark.parametrize(
    ("name", "adapted", "left_out"),
    [
        ("falcon-h1", "mamba.in_proj", "out_proj"),  # a kernel reads its weights
        ("mamba", "mixer.in_proj", "out_proj"),
        ("llama4", "self_attn.q_proj", "router"),  # returns two things
        ("falcon", "query_key_value", "lm_head"),  # linear layers of a class of their own
    ],
)
def test_an_adapter_leaves_out_layers_that_it_would_break_or_not_change(
    tmp_path: Path, name: str, adapted: str, left_out: str
) -> None:
    falcon = replace(BY_NAME["qwen2.5"], config="FalconConfig")
    student = write_student(falcon if name == "falcon" else BY_NAME[name], tmp_path / "student")
    train(job_for(student, tmp_path / "out", rows=4), silent)
    trained = "".join(load_file(tmp_path / "out" / "checkpoint" / "adapter_model.safetensors"))
    assert adapted in trained and left_out not in trained


@pytest.mark.parametrize(
    "says",
    [
        {"num_beams": 4, "early_stopping": True},
        {"cache_implementation": "static"},
        {"return_dict_in_generate": True, "output_scores": True},
        {"num_return_sequences": 2, "do_sample": True},
        {"prompt_lookup_num_tokens": 3},
        {"stop_strings": ["x"], "max_time": 1e-9},
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.1},
        {"use_cache": False},  # as training leaves it: answers would go on from a cache that is not kept
        {"dola_layers": "low"},
        {"token_healing": True},
        {"force_words_ids": [[5]]},
        {"penalty_alpha": 0.6},
        {"eos_token_id": [-1, 99_999]},  # tokens that it does not have
    ],
    ids=lambda says: next(iter(says)),
)
def test_answers_are_greedy_whatever_generation_config_says(tmp_path: Path, says: dict[str, Any]) -> None:
    student = student_of(tmp_path)
    answers = []
    for name in ("plain", "with it"):
        file = tmp_path / f"{name}.jsonl"
        job = {"student": str(student), "adapter": None, "items": items(), "results": str(file), "batch_size": 6}
        evaluate(job, silent)
        answers.append([row["answer"] for row in read_results(file).values()])
        change(student / "generation_config.json", **says)
    assert answers[0] == answers[1] and any(answers[0])


def random_student(folder: Path, config: str, **parts: Any) -> Path:
    """A tiny student of a config class that no family here is made of."""
    return write_student(replace(BY_NAME["qwen2.5"], config=config, parts=parts), folder / "student")


@pytest.mark.parametrize(
    ("config", "parts", "message"),
    [
        ("RwkvConfig", {"attention_hidden_size": 16}, "changes its weights in a forward pass"),
        ("CodeGenConfig", {}, "its forward pass fails .RuntimeError: shape"),  # heads that its code cannot divide
        ("BertConfig", {}, "sees the tokens that it should predict"),
    ],
    ids=["rwkv", "codegen", "bert"],
)
def test_a_model_that_cannot_be_read_as_a_student_is_told_before_it_is_asked_or_trained(
    tmp_path: Path, config: str, parts: dict[str, Any], message: str
) -> None:
    student = random_student(tmp_path, config, **parts)
    asked = {"student": str(student), "adapter": None, "items": items(), "batch_size": 6}
    with pytest.raises(ModelError, match=f"(?s){config[:3]}.*cannot be used.*{message}.*SEDI_TRAINING_STUDENT"):
        evaluate(asked | {"results": str(tmp_path / "r.jsonl")}, silent)
    with pytest.raises(ModelError, match=message):
        train(job_for(student, tmp_path / "out", rows=4), silent)


@pytest.mark.parametrize(("name", "attention"), [("qwen2.5", "flash_attention_2"), ("mpt", "sdpa")])
def test_an_attention_that_cannot_be_had_is_told_by_its_setting(tmp_path: Path, name: str, attention: str) -> None:
    student = write_student(BY_NAME[name], tmp_path / "student")
    with pytest.raises(ModelError, match=f"(?s)cannot be loaded.*SEDI_TRAINING_ATTENTION=auto instead of {attention}"):
        train(job_for(student, tmp_path / "out", rows=4, attention=attention), silent)


def test_an_attention_that_the_config_names_and_cannot_be_had_is_told(tmp_path: Path) -> None:
    student = student_of(tmp_path)
    change(student / "config.json", _attn_implementation="flash_attention_2")
    with pytest.raises(ModelError, match=r"(?s)cannot be loaded.*Remove .*_attn_implementation"):
        load_student(str(student), None)


def test_an_adapter_that_is_damaged_or_of_another_student_is_told(tmp_path: Path) -> None:
    student = student_of(tmp_path, name="llama3")
    train(job_for(student, tmp_path / "out", rows=1), silent)
    adapter = tmp_path / "out" / "checkpoint"
    load_student(str(student), adapter)
    wider = write_student(replace(BY_NAME["llama3"], parts={"hidden_size": 32}), tmp_path / "wider")
    with pytest.raises(ModelError, match=r"(?s)The adapter .*size mismatch.*SEDI_TRAINING_STUDENT"):
        load_student(str(wider), adapter)
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    del weights[max(weights)]
    save_file(weights, file)
    with pytest.raises(ModelError, match=r"(?s)The adapter .*is incomplete: 1 of 28 weights are missing, and 0 are"):
        load_student(str(student), adapter)
    file.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match=r"(?s)The adapter .*cannot be loaded.*header"):
        load_student(str(student), adapter)
    with pytest.raises(ModelError, match=r"There is no checkpoint .*nowhere"):
        load_student(str(student), tmp_path / "nowhere")


def test_one_row_and_a_batch_larger_than_the_data_are_trained(tmp_path: Path) -> None:
    student = student_of(tmp_path)
    for rows, batch_size in ((1, 1), (2, 16)):
        job = job_for(student, tmp_path / f"{rows}", rows=rows) | {"batch_size": batch_size}
        train(job, silent)
        steps = pl.read_parquet(tmp_path / f"{rows}" / "steps.parquet")
        assert steps["example_ids"].to_list() == [training_rows(rows)["example_id"].to_list()]


def test_a_student_that_sees_the_padding_before_a_row_is_found_out(tiny_student: Path) -> None:
    import torch

    model = load_student(str(tiny_student), None).eval()
    for weights in model.parameters():
        weights.data *= 10  # of numbers as small as a random student's, little is seen
    assert takes_padding(model)
    forward = model.forward
    model.forward = lambda attention_mask, **given: forward(attention_mask=torch.ones_like(attention_mask), **given)
    assert not takes_padding(model)
    assert takes_padding(model, right=True), "what comes after a row is never seen"
