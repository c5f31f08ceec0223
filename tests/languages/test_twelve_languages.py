"""Good tasks in twelve languages pass the filters, bad ones do not, and the teacher is asked in the right language."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from texts import TWELVE, Language

from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.novelty import greedy_novelty
from sedi_dagster.filtering.rules import InstructionForm, first_broken, form_rules
from sedi_dagster.seed_pool.languages import language_notes
from sedi_dagster.settings import Settings
from sedi_dagster.texts.language import language_of, languages_to_ask_for, main_languages

each_language = pytest.mark.parametrize("language", TWELVE, ids=[language.code for language in TWELVE])


def frame(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"row": range(len(texts)), "instruction": texts}, schema_overrides={"row": pl.UInt32})


@each_language
def test_good_tasks_break_no_rule_of_form(language: Language) -> None:
    assert first_broken(frame(language.instructions()), form_rules(InstructionForm())).is_empty()


@each_language
def test_different_tasks_are_novel_and_copies_are_not(language: Language) -> None:
    texts = [way.format(subject) for way, subject in zip(language.ways, language.subjects, strict=False)]
    assert greedy_novelty(texts, [], 0.85)["novel"].all()
    assert not greedy_novelty(texts, language.instructions(), 0.85)["novel"].any()


@each_language
def test_a_run_of_words_of_an_item_is_found_inside_another_text(language: Language) -> None:
    item = " ".join(language.instructions()[:6])
    recited = f"{language.answer} {' '.join(language.instructions()[2:6])}"
    found = Decontaminator([("item", item)], 0.99, 13).contamination(recited)
    assert found is not None and found[0] == "evaluation_ngram"
    assert Decontaminator([("item", item)], 0.99, 13).contamination(language.answer_to(item)) is None


@each_language
def test_the_teacher_is_asked_to_write_in_the_language_of_the_seeds(language: Language) -> None:
    assert main_languages(language.instructions()) == [language.code]
    assert languages_to_ask_for("", language.instructions()) == [language.name]


def test_the_teacher_need_not_be_told_to_write_english_but_can_be() -> None:
    english = ["Explain in three sentences why the sky is blue.", "Tell a child where the rain comes from."]
    assert languages_to_ask_for("", english) == []
    assert languages_to_ask_for("en", TWELVE[0].instructions()) == ["English"]
    assert languages_to_ask_for("Brazilian Portuguese", english) == ["Brazilian Portuguese"]


def test_seeds_of_several_languages_are_asked_for_in_all_of_them() -> None:
    mixed = TWELVE[0].instructions() + TWELVE[4].instructions()
    assert sorted(languages_to_ask_for("", mixed)) == ["Chinese", "Russian"]


def test_formulas_have_no_language_and_decide_none() -> None:
    assert language_of("3 + 4 = ?") == ""
    assert main_languages(["()()", "1 2 3", *TWELVE[7].instructions()]) == ["de"]


@pytest.mark.parametrize(
    "asks_for_a_picture",
    [
        "Beschreibe bitte das Bild in drei kurzen Sätzen.",
        "Décris cette image en trois phrases courtes.",
        "Describe la imagen que aparece en la página.",
        "请用三句话描述下面这张图片。",
        "次の画像を三つの文で説明してください。",
        "Опишите эту картинку в трёх предложениях.",
        "صف هذه الصورة في ثلاث جمل قصيرة.",
        "नीचे दी गई तस्वीर का तीन वाक्यों में वर्णन कीजिए।",
        "Hãy mô tả hình ảnh dưới đây trong ba câu.",
        "อธิบายรูปภาพนี้เป็นสามประโยคสั้น ๆ",
    ],
)
def test_keywords_count_in_their_own_language(asks_for_a_picture: str) -> None:
    found = first_broken(frame([asks_for_a_picture]), form_rules(InstructionForm()))
    assert found["rule"].to_list() == ["unservable_keyword"]


@pytest.mark.parametrize(
    "means_something_else",
    [
        "Open de map en lees de brief die daarin ligt.",  # Dutch: a folder
        "Explique pourquoi la file devant la boulangerie avance lentement.",  # French: a queue
        "Selitä lyhyesti, mitä sana video tarkoittaa suomeksi.",  # Finnish: there is no list
    ],
)
def test_a_keyword_of_another_language_is_no_keyword(means_something_else: str) -> None:
    assert first_broken(frame([means_something_else]), form_rules(InstructionForm())).is_empty()


def test_the_rules_for_english_are_those_of_the_mode_self_instruct_only() -> None:
    russian = frame(TWELVE[4].instructions())
    assert first_broken(russian, form_rules(InstructionForm())).is_empty()
    published = first_broken(russian, form_rules(InstructionForm(mode="self_instruct")))
    assert set(published["rule"]) == {"starts_with_non_ascii"} and published.height == russian.height


def test_the_english_embedding_model_is_named_where_it_meets_other_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    chinese = TWELVE[0].instructions()
    (asked, model) = language_notes(chinese, Settings(_env_file=None))  # type: ignore[call-arg]
    assert "write in Chinese" in asked
    assert f"{len(chinese)} of {len(chinese)} are not in the Latin script" in model
    monkeypatch.setenv("SEDI_BATCHING_EMBEDDING_MODEL", str(Path("some-multilingual-model")))
    assert not any("Latin" in note for note in language_notes(chinese, Settings(_env_file=None)))  # type: ignore[call-arg]
