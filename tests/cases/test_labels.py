"""Tasks under labels of all kinds and languages: no label ends in an instruction."""

from __future__ import annotations

import pytest

from sedi_dagster.generation.parsing import parse_tasks

A, B, BI = "Name two rivers of the north.", "Say what this is about.", "The harbour opened late."

FORMS = {
    "plain": f"Task 9: {A}\nInput: <noinput>\nTask 10: {B}\nInput: {BI}\n",
    "bold": f"**Task 9:** {A}\n**Input:** None\n\n**Task 10:** {B}\n**Input:** {BI}",
    "heading": f"### Task 9\n{A}\n\n### Input\nNone\n\n### Task 10\n{B}\n\n### Input\n{BI}\n",
    "heading colon": f"### Task 9:\n{A}\n#### Input:\nN/A\n### Task 10:\n{B}\n#### Input:\n{BI}\n",
    "italic": f"*Task 9:* {A}\n*Input:* none\n*Task 10:* {B}\n*Input:* {BI}",
    "bullet star": f"* **Task 9:** {A}\n    * **Input:** None\n* **Task 10:** {B}\n    * **Input:** {BI}",
    "nested instr": f"**Task 9**\n- Instruction: {A}\n- Input: None\n\n**Task 10**\n- Instruction: {B}\n- Input: {BI}",
    "nested bold instr": f"**Task 9**\n- **Instruction:** {A}\n- **Input:** None\n\n**Task 10**\n- **Instruction:** {B}\n- **Input:** {BI}",
    "german": f"Aufgabe 9: {A}\nEingabe: keine\nAufgabe 10: {B}\nEingabe: {BI}",
    "french": f"Tâche 9 : {A}\nEntrée : aucune\nTâche 10 : {B}\nEntrée : {BI}",
    "portuguese": f"Tarefa 9: {A}\nEntrada: nenhuma\nTarefa 10: {B}\nEntrada: {BI}",
    "vietnamese": f"Nhiệm vụ 9: {A}\nĐầu vào: Không có\nNhiệm vụ 10: {B}\nĐầu vào: {BI}",
    "indonesian": f"Tugas 9: {A}\nMasukan: tidak ada\nTugas 10: {B}\nMasukan: {BI}",
    "thai": f"งาน 9: {A}\nอินพุต: ไม่มี\nงาน 10: {B}\nอินพุต: {BI}",
    "thai2": f"งานที่ 9: {A}\nข้อมูลนำเข้า: ไม่มี\nงานที่ 10: {B}\nข้อมูลนำเข้า: {BI}",
    "greek": f"Εργασία 9: {A}\nΕίσοδος: καμία\nΕργασία 10: {B}\nΕίσοδος: {BI}",
    "czech": f"Úkol 9: {A}\nVstup: žádný\nÚkol 10: {B}\nVstup: {BI}",
    "ukrainian": f"Завдання 9: {A}\nВхід: немає\nЗавдання 10: {B}\nВхід: {BI}",
    "hungarian": f"Feladat 9: {A}\nBemenet: nincs\nFeladat 10: {B}\nBemenet: {BI}",
    "romanian": f"Sarcina 9: {A}\nIntrare: niciuna\nSarcina 10: {B}\nIntrare: {BI}",
    "finnish": f"Tehtävä 9: {A}\nSyöte: ei mitään\nTehtävä 10: {B}\nSyöte: {BI}",
    "swedish": f"Uppgift 9: {A}\nIndata: inga\nUppgift 10: {B}\nIndata: {BI}",
    "danish": f"Opgave 9: {A}\nInput: intet\nOpgave 10: {B}\nInput: {BI}",
    "norwegian": f"Oppgave 9: {A}\nInndata: ingen\nOppgave 10: {B}\nInndata: {BI}",
    "persian": f"وظیفه ۹: {A}\nورودی: ندارد\nوظیفه ۱۰: {B}\nورودی: {BI}",
    "bengali": f"কাজ ৯: {A}\nইনপুট: নেই\nকাজ ১০: {B}\nইনপুট: {BI}",
    "chinese": f"任务9：{A}\n输入：无\n任务10：{B}\n输入：{BI}",
    "chinese brackets": f"【任务9】{A}\n【输入】无\n【任务10】{B}\n【输入】{BI}",
    "chinese di": f"第9题：{A}\n输入：无\n第10题：{B}\n输入：{BI}",
    "japanese": f"タスク9：{A}\n入力：なし\nタスク10：{B}\n入力：{BI}",
    "korean": f"과제 9: {A}\n입력: 없음\n과제 10: {B}\n입력: {BI}",
    "hindi": f"कार्य ९: {A}\nइनपुट: कोई नहीं\nकार्य १०: {B}\nइनपुट: {BI}",
    "arabic": f"المهمة ٩: {A}\nالمدخل: لا يوجد\nالمهمة ١٠: {B}\nالمدخل: {BI}",
    "hebrew": f"משימה 9: {A}\nקלט: אין\nמשימה 10: {B}\nקלט: {BI}",
    "closing": f"Task 9: {A}\nInput: None\nTask 10: {B}\nInput: {BI}\n\nThese tasks cover geography and reading.",
    "closing2": f"Task 9: {A}\nInput: None\nTask 10: {B}\nInput: {BI}\n\n---\n\nI hope these help! Let me know if you need more.",
    "closing3": f"Task 9: {A}\nInput: None\nTask 10: {B}\nInput: {BI}\n\nIs there anything else you would like?",
    "closing4 de": f"Task 9: {A}\nInput: None\nTask 10: {B}\nInput: {BI}\n\nGerne erstelle ich weitere Aufgaben.",
    "intro": f"Sure! Here are more tasks:\n\nTask 9: {A}\nInput: None\n\nTask 10: {B}\nInput: {BI}",
    "inline bold": f"Task 9: {A} **Input:** None\nTask 10: {B} **Input:** {BI}",
    "inline paren": f"Task 9: {A} (Input: none)\nTask 10: {B} (Input: {BI})",
    "inline dash": f"Task 9: {A} - Input: None\nTask 10: {B} - Input: {BI}",
    "inline dash em": f"Task 9: {A} — Input: None\nTask 10: {B} — Input: {BI}",
    "inline slash": f"Task 9: {A} | Input: None\nTask 10: {B} | Input: {BI}",
    "input text": f"Task 9: {A}\nInput text: None\nTask 10: {B}\nInput text: {BI}",
    "input quoted": f'Task 9: {A}\nInput: ""\nTask 10: {B}\nInput: {BI}',
    "yaml": f"- task: 9\n  instruction: {A}\n  input: null\n- task: 10\n  instruction: {B}\n  input: {BI}\n",
    "hash no": f"Task #9: {A}\nInput: None\nTask #10: {B}\nInput: {BI}",
    "task no.": f"Task No. 9: {A}\nInput: None\nTask No. 10: {B}\nInput: {BI}",
    "with output": f"Task 9: {A}\nInput: None\nOutput: Ob, Lena\nTask 10: {B}\nInput: {BI}\nOutput: harbour",
    "fullwidth space": f"Task 9:\u3000{A}\nInput:\u3000None\nTask 10:\u3000{B}\nInput:\u3000{BI}",
}


@pytest.mark.parametrize("case", FORMS)
def test_labels_end_in_no_instruction(case: str) -> None:
    tasks = parse_tasks(FORMS[case], cut_off=False, begins_inside=False)
    assert [(t.instruction, t.input) for t in tasks if not t.problem] == [(A, ""), (B, BI)]


@pytest.mark.parametrize("text", [f"9 | {A} | None", f"<task><instruction>{A}</instruction><input></input></task>"])
def test_a_form_that_is_not_known_is_malformed_and_not_kept(text: str) -> None:
    assert all(task.problem for task in parse_tasks(text, cut_off=False, begins_inside=False))
