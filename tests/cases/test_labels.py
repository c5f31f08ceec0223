"""Tasks under labels of all kinds and languages: no label ends in an instruction."""

from __future__ import annotations

import pytest

from sedi_dagster.generation.parsing import parse_answer, parse_examples, parse_instances, parse_tasks

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
    "list of parts": f"- Instruction: {A}\n  Input: None\n- Instruction: {B}\n  Input: {BI}",
    "hash no": f"Task #9: {A}\nInput: None\nTask #10: {B}\nInput: {BI}",
    "task no.": f"Task No. 9: {A}\nInput: None\nTask No. 10: {B}\nInput: {BI}",
    "with output": f"Task 9: {A}\nInput: None\nOutput: Ob, Lena\nTask 10: {B}\nInput: {BI}\nOutput: harbour",
    "title in bold": f"**Task 9: Rivers**\n{A}\n**Input:** None\n\n**Task 10: Harbour**\n{B}\n**Input:** {BI}",
    "each in bold": f"1. **{A}**\n   - Input: None\n2. **{B}**\n   - Input: {BI}",
    "all in bold": f"**Task 9: {A}**\n**Input: None**\n\n**Task 10: {B}**\n**Input: {BI}**",
    "headings without numbers": f"### Instruction:\n{A}\n### Input:\nNone\n\n### Instruction:\n{B}\n### Input:\n{BI}",
    "labels without numbers": f"Task: {A}\nInput: None\n\nTask: {B}\nInput: {BI}",
    "another word": f"Question 9: {A}\nInput: None\nQuestion 10: {B}\nInput: {BI}",
    "two words": f"New Exercise 9: {A}\nInput: None\nNew Exercise 10: {B}\nInput: {BI}",
    "a letter": f"T9: {A}\nInput: None\nT10: {B}\nInput: {BI}",
    "in brackets how hard": f"Task 9 (easy): {A}\nInput: None\nTask 10 (hard): {B}\nInput: {BI}",
    "escaped": f"9\\. {A}\nInput: None\n10\\. {B}\nInput: {BI}",
    "no-break spaces": f"Task\u00a09:\u00a0{A}\nInput:\u00a0None\nTask\u00a010:\u00a0{B}\nInput:\u00a0{BI}",
    "context": f"Task 9: {A}\nContext: None\nTask 10: {B}\nContext: {BI}",
    "source text": f"Task 9: {A}\nSource text: N/A\nTask 10: {B}\nSource text: {BI}",
    "an arrow": f"Task 9: {A}\n→ Input: None\nTask 10: {B}\n→ Input: {BI}",
    "bold alone": f"Task 9: {A}\n**Input**\nNone\nTask 10: {B}\n**Input**\n{BI}",
    "optional": f"Task 9: {A}\nInput (optional): None\nTask 10: {B}\nInput (optional): {BI}",
    "expected output": f"Task 9: {A}\nInput: None\nExpected output: Ob\nTask 10: {B}\nInput: {BI}\nExpected output: harbour",
    "closing in brackets": f"Task 9: {A}\nInput: None\nTask 10: {B}\nInput: {BI}\n\n(End of list)",
    "closing of its own work": f"Task 9: {A}\nInput: None\nTask 10: {B}\nInput: {BI}\n\nI've created two tasks.",
    "khmer": f"កិច្ចការ ៩: {A}\nបញ្ចូល: គ្មាន\nកិច្ចការ ១០: {B}\nបញ្ចូល: {BI}",
    "lao": f"ວຽກ 9: {A}\nປ້ອນຂໍ້ມູນ: ບໍ່ມີ\nວຽກ 10: {B}\nປ້ອນຂໍ້ມູນ: {BI}",
    "burmese": f"တာဝန် ၉: {A}\nထည့်သွင်းမှု: မရှိပါ\nတာဝန် ၁၀: {B}\nထည့်သွင်းမှု: {BI}",
    "amharic": f"ተግባር 9፦ {A}\nግብዓት፦ የለም\nተግባር 10፦ {B}\nግብዓት፦ {BI}",
    "tamil": f"பணி 9: {A}\nஉள்ளீடு: இல்லை\nபணி 10: {B}\nஉள்ளீடு: {BI}",
    "urdu": f"کام 9: {A}\nان پٹ: کوئی نہیں\nکام 10: {B}\nان پٹ: {BI}",
    "swahili": f"Kazi 9: {A}\nIngizo: hakuna\nKazi 10: {B}\nIngizo: {BI}",
    "croatian": f"Zadatak 9: {A}\nUlaz: nema\nZadatak 10: {B}\nUlaz: {BI}",
    "russian": f"Задание 9: {A}\nВходные данные: нет\nЗадание 10: {B}\nВходные данные: {BI}",
    "a remark behind none": f"Task 9: {A}\nInput: N/A (no input needed)\nTask 10: {B}\nInput: {BI}",
    "labels in code": f"`Task 9:` {A}\n`Input:` None\n`Task 10:` {B}\n`Input:` {BI}",
    "dashes": f"Task 9 - {A}\nInput - None\nTask 10 - {B}\nInput - {BI}",
    "a category of each": f"Task 9: {A}\nCategory: open_qa\nInput: None\nTask 10: {B}\nCategory: qa\nInput: {BI}",
    "in a fence with talk behind": f"```\nTask 9: {A}\nInput: None\nTask 10: {B}\nInput: {BI}\n```\nEnjoy!",
    "closing in japanese": f"タスク9：{A}\n入力：なし\nタスク10：{B}\n入力：{BI}\n\n以上が新しいタスクです。",
    "closing in spanish": f"Tarea 9: {A}\nEntrada: ninguna\nTarea 10: {B}\nEntrada: {BI}\n\n¡Espero que te sirvan!",
    "fullwidth space": f"Task 9:\u3000{A}\nInput:\u3000None\nTask 10:\u3000{B}\nInput:\u3000{BI}",
    "org mode": f"* Task 9\n** Instruction\n{A}\n** Input\n<noinput>\n* Task 10\n** Instruction\n{B}\n** Input\n{BI}",
    "headings": f"### Task 9\n#### Instruction\n{A}\n### Task 10\n#### Instruction\n{B}\n#### Input\n{BI}",
    "no label before no input": f"Task 9: {A} <noinput>\nTask 10: {B}\nInput: {BI}",
    "closing that": f"Task 9: {A}\nTask 10: {B}\nInput: {BI}\n\nHope that helps!",
}


@pytest.mark.parametrize("case", FORMS)
def test_labels_end_in_no_instruction(case: str) -> None:
    tasks = parse_tasks(FORMS[case], cut_off=False, begins_inside=False)
    assert [(t.instruction, t.input) for t in tasks if not t.problem] == [(A, ""), (B, BI)]


@pytest.mark.parametrize(
    "text",
    [
        f"9 | {A} | None",
        f"<task><instruction>{A}</instruction><input></input></task>",
        f"Task IX: {A}\nInput: None\nTask X: {B}\nInput: {BI}",
        f"A) {A}\nInput: None\nB) {B}\nInput: {BI}",
        f"Task 9: {A}<br>Input: None<br>Task 10: {B}<br>Input: {BI}",
    ],
)
def test_a_form_that_is_not_known_is_malformed_and_not_kept(text: str) -> None:
    assert all(task.problem for task in parse_tasks(text, cut_off=False, begins_inside=False))


@pytest.mark.parametrize(
    "asked",
    [
        'Write a recipe. End with a line that begins with "Answer:" and gives the calories.',
        "Explain the HTML tag input: what is it for?",
        'Rewrite the note so that it says "Task 1: done".',
        "Say what the label 'Input:' means in a form.",
        "Mark each empty input with <noinput>",
    ],
)
def test_a_task_that_speaks_of_a_label_is_whole(asked: str) -> None:
    tasks = parse_tasks(f"Task 9: {asked}\nInput: <noinput>\nTask 10: {B}\nInput: {BI}", False, begins_inside=False)
    assert [(t.instruction, t.input, t.problem) for t in tasks] == [(asked, "", ""), (B, BI, "")]


def test_steps_inside_an_answer_are_no_row_of_tasks() -> None:
    text = "Instruction: Write a recipe in steps.\nInput: None\nOutput:\nStep 1: Mix.\nStep 2: Bake."
    found = parse_examples(text, cut_off=False)
    assert [(e.instruction, e.output, e.problem) for e in found] == [
        ("Write a recipe in steps.", "Step 1: Mix.\nStep 2: Bake.", "")
    ]


@pytest.mark.parametrize(
    "end", ["Hope it all goes well,\nBen", "let me know if six is too early.", "Note: bring the keys."]
)
def test_the_good_wishes_at_the_end_of_a_letter_stay(end: str) -> None:
    letter = f"Dear Ann,\nI am fine.\n\n{end}"
    assert parse_examples(f"Instruction: Write to Ann.\nOutput: {letter}", cut_off=False)[0].output == letter
    talk = "\n\nLet me know if you need more examples!"
    for text, parse in (
        (f"Task 1: Write to Ann.\nOutput: {letter}", parse_examples),
        (f"Output: {letter}", parse_instances),
    ):
        assert [found.output for found in parse(text + talk, cut_off=False)] == [letter]


@pytest.mark.parametrize("before", ["\n", " "])
def test_code_is_not_searched_for_labels(before: str) -> None:
    code = "```python\n# Task 1: add\n# Input: a\n# Output: b\nprint(1 + 1)\n```"
    tasks = parse_tasks(f"Task 9: {B}\nInput:{before}{code}\n\nTask 10: {A}\nInput: None", False, begins_inside=False)
    assert [(t.instruction, t.input, t.problem) for t in tasks] == [(B, code, ""), (A, "", "")]
    found = parse_instances(
        f"Example 1\nInput:{before}{code}\nOutput: 2\n\nExample 2\nInput: a\nOutput: b", cut_off=False
    )
    assert [(i.input, i.output, i.problem) for i in found] == [(code, "2", ""), ("a", "b", "")]


@pytest.mark.parametrize("name", ["markdown", "tasks", ""])
def test_a_fence_around_all_tasks_is_no_code(name: str) -> None:
    text = f"```{name}\nTask 9: {A}\nInput: None\n\nTask 10: {B}\nInput: {BI}\n```"
    tasks = [t for t in parse_tasks(text, False, begins_inside=False) if not t.problem]
    assert [(t.instruction, t.input) for t in tasks] == [(A, ""), (B, BI)]


def test_a_list_inside_a_task_is_no_row_of_tasks() -> None:
    asked = "Sort these:\n1. pear\n2. fig\n3. apple"
    tasks = parse_tasks(f"Task 9: {asked}\nInput: <noinput>\nTask 10: {B}\nInput: {BI}", False, begins_inside=False)
    assert [t.instruction for t in tasks] == [asked, B]


EXAMPLES = {
    "english": ("Example", "Instruction", "Input", "None", "Output"),
    "bold": ("**Example", "**Instruction", "**Input", "None", "**Output"),
    "german": ("Beispiel", "Anweisung", "Eingabe", "keine", "Ausgabe"),
    "chinese": ("示例", "指令", "输入", "无", "输出"),
    "japanese": ("例", "指示", "入力", "なし", "出力"),
    "russian": ("Пример", "Инструкция", "Ввод", "нет", "Вывод"),
}


@pytest.mark.parametrize(
    "text",
    [
        f"[{{'instruction': '{A}', 'input': None, 'output': \"Ob's\"}}, {{'instruction': '{B}', 'input': '{BI}', 'output': 1.50}}]",
        f"Sure:\n```python\n{{'examples': [{{'instruction': '{A}', 'input': '', 'output': 'Ob\\'s'}},\n"
        f"{{'instruction': '{B}', 'input': '{BI}', 'output': '1.50'}}]}}\n```",
    ],
)
def test_examples_may_be_quoted_as_in_python(text: str) -> None:
    found = [e for e in parse_examples(text, cut_off=False) if not e.problem]
    assert [(e.instruction, e.input, e.output) for e in found] == [(A, "", "Ob's"), (B, BI, "1.50")]


@pytest.mark.parametrize("head", ["9. Count the words of {'prompt': 'a b'}.", "9. Read this.\n{'task': 'a'}"])
def test_python_within_a_task_is_part_of_it(head: str) -> None:
    found = parse_examples(f"{head}\nOutput: 2\n\n10. {A}\nOutput: Ob\n", cut_off=False)
    assert [(e.problem, e.output) for e in found] == [("", "2"), ("", "Ob")]


def test_python_within_json_is_a_text() -> None:
    text = f'[{{"instruction": "{A}", "input": "", "output": "{{\'instruction\': \'x\'}}"}}]'
    assert [e.output for e in parse_examples(text, cut_off=False)] == ["{'instruction': 'x'}"]


@pytest.mark.parametrize("last", [1, 2])
@pytest.mark.parametrize("case", EXAMPLES)
def test_the_heading_of_an_example_ends_in_no_answer_and_no_instruction(case: str, last: int) -> None:
    example, instruction, given, none, output = EXAMPLES[case]
    bold = "**" if case == "bold" else ""
    text = "\n\n".join(
        f"{example} {number}{bold}\n{instruction}:{bold} {asked}\n{given}:{bold} {text}\n{output}:{bold} {answer}"
        for number, asked, text, answer in ((1, A, none, "Ob and Lena"), (2, B, BI, "A harbour"))[:last]
    )
    found = parse_examples(text, cut_off=False)
    expected = [(A, "", "Ob and Lena"), (B, BI, "A harbour")][:last]
    assert [(e.instruction, e.input, e.output) for e in found if not e.problem] == expected


ASKED, T = "Explain why leaves turn red.", "The green pigment breaks down, and others show."

AROUND_AN_ANSWER = {
    "label": f"Output: {T}",
    "answer": f"Answer: {T}",
    "in lower case": f"answer: {T}",
    "bold": f"**Answer:** {T}",
    "all in bold": f"**Answer: {T}**",
    "heading": f"### Answer\n{T}",
    "alone on its line": f"Response:\n\n{T}",
    "bold alone": f"**Output**\n\n{T}",
    "underscores": f"__Answer:__ {T}",
    "list mark": f"- **Output:** {T}",
    "number": f"1. Output: {T}",
    "number behind it": f"Output 1: {T}",
    "chinese": f"答案：{T}",
    "chinese brackets": f"【答案】{T}",
    "japanese": f"回答：{T}",
    "korean": f"답변: {T}",
    "german": f"Antwort: {T}",
    "french": f"Réponse : {T}",
    "russian": f"Ответ: {T}",
    "arabic": f"الإجابة: {T}",
    "hindi": f"उत्तर: {T}",
    "vietnamese": f"Trả lời: {T}",
    "tags": f"<answer>\n{T}\n</answer>",
    "reasoning before a tag": f"I should name the pigment first.\n\n<response>\n{T}\n</response>",
    "fence": f"```\n{T}\n```",
    "fence of text": f"```text\n{T}\n```",
    "fence of a letter": f"```plaintext\n{T}\n```",
    "fence of markdown": f"```markdown\n# Leaves\n\n{T}\n```",
    "json": f'{{"output": "{T}"}}',
    "json in a fence": f'```json\n{{"answer": "{T}"}}\n```',
    "json with the task": f'{{"instruction": "{ASKED}", "input": "", "output": "{T}"}}',
    "the task before it": f"{ASKED}\n{T}",
    "the task as a heading": f"**{ASKED}**\n\n{T}",
    "the task under labels": f"Instruction: {ASKED}\nInput: <noinput>\nOutput: {T}",
    "alpaca": f"### Instruction:\n{ASKED}\n\n### Response:\n{T}",
    "question": f"Question: {ASKED}\nAnswer: {T}",
    "q and a": f"Q: {ASKED}\nA: {T}",
    "prompt and response": f"Prompt: {ASKED}\nResponse: {T}",
    "the task with its number": f"Task 1: {ASKED}\nInput: <noinput>\nOutput: {T}",
    "the task and labels behind it": f"{ASKED}\n\nInput: None\n\nOutput: {T}",
    "japanese solution": f"解答：{T}",
    "short chinese": f"答：{T}",
    "result in tags": f"<result>{T}</result>",
    "a label and a further task": f"Answer: {T}\n\nTask 2: Name a sea.\nAnswer: The North Sea.",
    "a further task": f"{T}\n\nTask 10: Name three rivers.\nInput: <noinput>\nOutput: Ob",
    "a further instruction": f"{T}\n\n**Instruction:** Name three rivers.\n**Output:** Ob",
    "question and answer in one line": f"Q: {ASKED} A: {T}",
    "question and answer in one line, bold": f"**Question:** {ASKED} **Answer:** {T}",
    "a quote before it": f"'\nAnswer: {T}",
    "final": f"Final answer: {T}",
    "final as a heading": f"### Final Answer\n\n{T}",
    "final in chinese": f"最终答案：{T}",
    "python": f"{{'answer': '{T}'}}",
    "python with None": f"{{'answer': '{T}', 'input': None}}",
    "python in a fence": f"```python\n{{'response': \"{T}\"}}\n```",
    "json in a list": f'[{{"answer": "{T}"}}]',
    "json in german": f'{{"antwort": "{T}"}}',
    "json in japanese": f'{{"回答": "{T}", "確信": ""}}',
    "a message": f'{{"role": "assistant", "content": "{T}"}}',
    "a box of latex": f"\\boxed{{{T}}}",
    "a box of latex with text": f"$$\\boxed{{\\text{{{T}}}}}$$",
    "a box of latex on its line": f"\\[\n\\boxed{{{T}}}\n\\]",
    "a further turn": f"{T}\n\nUser: And yellow?\nAssistant: Another pigment.",
}


@pytest.mark.parametrize("case", AROUND_AN_ANSWER)
def test_nothing_is_left_around_an_answer(case: str) -> None:
    expected = f"# Leaves\n\n{T}" if case == "fence of markdown" else T
    assert parse_answer(AROUND_AN_ANSWER[case], ASKED) == expected


def test_a_task_and_its_input_that_are_written_again_come_off() -> None:
    for again in (f"{B}\n\n{BI}\n\n", f"Instruction: {B}\nInput: {BI}\nOutput: ", f"Input: {BI}\nOutput: "):
        assert parse_answer(f"{again}A harbour.", B, BI) == "A harbour."


def test_a_value_alone_is_left_of_an_object() -> None:
    assert parse_answer('{"reasoning": "Six sevens.", "answer": 42.50}', "What is it?") == "42.50"
    assert parse_answer('{"answer": "four", "confidence": 0.9}', "What is it?") == "four"
    assert parse_answer('{"answer": "print(4)"}', "Write a Python script.") == "print(4)"
    assert parse_answer("{'thought': 'It\\'s six.', 'answer': \"It's 6\"}", "How many?") == "It's 6"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Is 12 even? Write 'Answer: ...' and nothing else.", "Answer: yes"),
        ("Write the LaTeX code of a boxed 7.", "\\boxed{7}"),
        ("Is 12 even? Answer with a reason.", "Answer: yes\nReason: it ends in an even digit."),
        ("Solve it.", "**Solution:** add the two\n\n**Check:** it is four"),
        ("Solve it.", "### Solution\nadd the two\n### Check\nit is four"),
        ("Define three words.", "Output: what a firm makes.\nInput: what it uses.\nProfit: what is left."),
        ("Write questions and answers.", "Q: When do you open?\nA: At nine.\n\nQ: And on Sunday?\nA: At ten."),
        ("Give the right letters.", "1. Answer: B\n2. Answer: C"),
        ("Name output devices.", "Output devices include monitors."),
        ("Name the capital as JSON.", '{"answer": "Paris"}'),
        ("Describe Ann.", '{"name": "Ann", "age": 4}'),
        ("Name a capital.", '{"answer": "Paris", "country": "France"}'),
        ("Write a line of Python.", "```python\nprint(1)\n```"),
        ("Add the two.", "```\nx = 1 + 1\n```"),
        ("Show it as a code block.", f"```\n{T}\n```"),
        ("What does the service return?", "<response>\n  <status>ok</status>\n</response>"),
        ("What does the service return?", "The body is:\n\n<response>\nok\n</response>"),
        ("Put it in an XML element.", "<output>5</output>"),
        ("Write a to-do list with three tasks.", "Task 1: Milk.\n\nTask 2: School.\nInput: none"),
        ("Plan my day.", "Here is the plan:\n\nTask 2: Milk.\nInput: none"),
        ("Plan my day.", "It is full.\n\nTask 1: Milk.\nInput: none"),
        ("Write a programming exercise.", "Add two numbers.\n\nExample:\nInput: 3 5\nOutput: 8"),
        ("Write a function that adds.", '"""\nWrite a function that adds.\n"""\ndef add(a, b): ...'),
        ("Which is it? A. Paris B. Rome", "A. Paris"),
        ("Say yes.", "Say yes."),
        ("Write two lines of talk between A and B.", "A: I am tired.\nB: Then sleep."),
        ("Which letter is first?", "A: the first letter."),
        ("Show a tree in a fenced block.", "```text\n/src\n  main.py\n```"),
        ("Give the number in <output> tags.", "First.\n\n<output>5</output>"),
        ("Write the line of the log.", "output: a.txt"),
        ("List the files that the build makes.", "output:\n  - a.txt\n  - b.txt"),
        ("Say two things about the program.", "1. Output: it prints a number.\n2. It stops."),
        ("Say two things about the program.", "- **Output:** it prints a number.\n- It stops."),
        ("Translate.\nAntwort: ja", "Answer: yes"),
        ("Make a flashcard about rivers.", '{"question": "Which is the longest river?", "answer": "The Nile."}'),
        ("Make an example for a classifier.", '{"text": "I love it.", "output": "positive"}'),
        ("Name a capital in a structured form.", '{"answer": "Paris"}'),
        ("Draw a cat.", "```text\n   /\\_/\\\n  ( o.o )\n```"),
        ("Show how a package is laid out.", "```text\nsrc\n├── a.py\n└── b.py\n```"),
        ("Show the planets in columns.", "```plaintext\nName     Moons\nEarth    1\n```"),
        ("What does the pattern match?", "`Output:` at the start of a line."),
        ("Write a guitar tab.", "```text\ne|--0--|\nB|--1--|\n```"),
        ("Think step by step: 6 * 7?", "Six sevens are 42.\n\n<answer>42</answer>"),
        ("Write a few-shot prompt.", "You rate reviews.\n\nInstruction: Rate it.\nInput: {review}\nOutput:"),
        ("Write a design document.", "We need order.\n\nTask: sort a list.\nInput: a list\nOutput: a sorted list"),
        ("Write a worksheet.", "Task 1: Add 1 and 1.\nSolution: 2\n\nTask 2: Add 1 and 2.\nSolution: 3"),
        ("Write a test.", "# Sums\n\n**Task 1.** Add 1 and 1.\n\n**Task 2.** Add 1 and 2.\n\n**Answer:** 2 and 3"),
        ("出一份数学试卷。", "题目1：1+1=?\n答案：2\n\n题目2：1+2=?\n答案：3"),
        (ASKED, "Answer:"),
        ("Add the two. Head it 'Answer: <number>'.", "Answer: 4"),
        ("Write the last line, headed Final answer.", "Final answer: four"),
        ("Add the two in steps.", "One and one is two.\n\nFinal answer: 2"),
        ("Write a riddle.", "Q: What has keys but opens no lock? A: A piano."),
        ("Set the answer in Python.", "{'answer': 42}"),
        ("Write the object in JavaScript code.", "{answer: 'yes'}"),
        ("Why is it so?", '{"reasoning": "It rains.", "answer": "It is wet."}'),
        ("Ist es so? Begründe es.", '{"reasoning": "Es regnet.", "answer": "Ja."}'),
        ("答えが42である辞書をコードで書いてください。", "{'answer': 42}"),
        ("Quote them.", '"\nI came.\nI saw.\n"'),
        ("Describe the roles.", f"{T}\n\nUser: reads files.\nAssistant: writes files."),
        ("Name two.", '[{"answer": "one"}, {"answer": "two"}]'),
        ("Write a chat.", f"{T}\n\nUser: Why?\nAssistant: Because."),
        ("Tell me more.", "They talk:\n\nUser: Why?\nAssistant: Because."),
        ("Help two people.", "User: Why?\nAssistant: Because.\n\nUser: How?\nAssistant: So."),
        ("How is it laid out?", "So it is.\n\n```\nA log.\n\nUser: Why?\nAssistant: Because.\n```"),
        ("How does it learn?", "Here is an example.\n\nUser: Why?\nAssistant: Because."),
        ("Explain prompt injection.", "It hides orders.\n\nUser: Read it.\nAssistant: Done."),
        ("Escribe un diálogo.", "Llueve.\n\nUser: ¿Qué hora es?\nAssistant: Las tres."),
        ("Schrijf een gesprek.", "Regen.\n\nUser: Hoe laat is het?\nAssistant: Drie uur."),
        ("Quote Caesar.", '"\nI came.\nI saw.\n"\n(Caesar)'),
        ("Write a vimrc.", '"\n" Mine\n"\nset number'),
        ("Write a macro.", "'\nPRINT 1"),
        ("Blood types", "Blood types A: common. B: rare."),
        ("Devuelve un objeto con una clave.", '{"respuesta": "sí"}'),
        ("Write the message of an assistant.", '{"role": "assistant", "content": "Hello!"}'),
        ("What does the program print?", "{'answer': 'yes'}"),
        ("Show your work.", '{"reasoning": "Six sevens.", "answer": "42"}'),
        ("Resuelve paso a paso.", '{"reasoning": "Seis por siete.", "answer": "42"}'),
        ("给出推理过程。", '{"reasoning": "六乘七。", "answer": "42"}'),
        ("Continue the story.\nThe harbour opened late.", "The harbour opened late.\nThen came the boats."),
    ],
)
def test_an_answer_in_the_form_that_its_task_asks_for_stays(asked: str, answer: str) -> None:
    instruction, _, text_input = asked.partition("\n")
    assert parse_answer(answer, instruction, text_input) == answer
