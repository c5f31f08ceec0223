"""Answers that are none: refusals, remarks of a model about itself, and placeholders, in the languages of the loop.

The patterns are of the kind that both Python's and Polars' engines understand, so that a million answers are judged in
one pass. A refusal is recognised by how an answer begins and only if it is short: a long answer that says sorry and goes on
is an answer, and so is an apology that refuses nothing.
"""

from __future__ import annotations

import re

LONGEST_REFUSAL_BYTES = 600
"""About 100 words of English or 200 characters of Chinese: from there on an answer is no refusal."""


def _any_of(lines: str) -> str:
    """One pattern from alternatives, one a line."""
    return "(?:" + "|".join(line.strip() for line in lines.strip().splitlines()) + ")"


_MODEL = _any_of(r"""
    as an? (?:ai|a\.i\.|artificial intelligence)(?:,|[ -](?:language|assistant|model|system|text|chat|developed|created)|[ -](?:trained|designed|program|tool|i\b))
    as an? (?:large language model|language model|virtual assistant)\b
    i(?:['’]m| am) (?:just |only |merely |simply )?an? (?:ai|artificial intelligence|(?:large )?language model)\b
    i(?:['’]m| am) (?:just|only|merely|simply) an? (?:computer program|machine|bot|chatbot|virtual assistant)\b
    als (?:eine? )?(?:ki\b|künstliche intelligenz|sprachmodell)
    en tant qu(?:['’]|e )(?:ia\b|intelligence artificielle|modèle de langage|assistant virtuel)
    como (?:una? |um )?(?:ia\b|inteligencia artificial|modelo de lenguaje|modelo de linguagem|inteligência artificial)
    in quanto (?:ia\b|intelligenza artificiale|modello linguistico)
    als (?:een )?(?:ai\b|taalmodel)
    jako (?:ai\b|model językowy|sztuczna inteligencja|umělá inteligence|jazykový model)
    sebagai (?:sebuah )?(?:model bahasa|ai\b|kecerdasan buatan|asisten ai)
    som (?:en )?(?:ai\b|språkmodell?|sprogmodel)|(?:tekoälynä|kielimallina)|nyelvi modellként
    ca (?:un )?(?:model de limbaj|inteligență artificială)|ως (?:γλωσσικό μοντέλο|τεχνητή νοημοσύνη)
    як (?:мовна модель|штучний інтелект)|(?:là|với tư cách là) một (?:mô hình ngôn ngữ|trí tuệ nhân tạo|ai\b)
    ในฐานะ(?:ที่เป็น)?(?:โมเดล|แบบจำลอง|ปัญญาประดิษฐ์|ai)|به عنوان (?:یک )?(?:مدل زبان|هوش مصنوعی)
    (?:كنموذج|كذكاء|كمساعد)
    (?:как|я) (?:всего лишь )?(?:ии\b|искусственный интеллект|языковая модель)
    (?:作为|作為|我是|我只是)(?:一个|一個|一名)?(?:ai|人工智能|人工智慧|大?型?语言模型|大?型?語言模型)
    (?:ai|人工知能|言語モデル)(?:言語モデル|アシスタント)?(?:として|ですので|なので)
    (?:저는 )?(?:ai|인공지능)(?: 언어)?(?: 모델)?(?:로서|이므로|이기 때문에)
    (?:بصفتي|كوني|باعتباري) (?:نموذج|ذكاء|مساعد)
    (?:एक )?(?:एआई|कृत्रिम बुद्धिमत्ता|भाषा मॉडल)[^।]{0,20} के (?:रूप में|नाते)
    (?:bir )?(?:yapay zek[aâ]|dil modeli) olarak
    כמודל שפה|כבינה מלאכותית
""")
_CANNOT = _any_of(r"""
    (?:i|we) (?:can ?not|can['’]?t|could not|couldn['’]t|won['’]t|will not|must decline|have to decline)
    (?:i|we)(?:['’]m| am|['’]re| are) (?:currently |simply |just )?(?:unable|not (?:able|allowed|permitted|programmed))
    (?:i|we) (?:do not|don['’]t) (?:currently )?have (?:the|any|access|real|personal)
    (?:i|we) (?:do not|don['’]t) feel comfortable
    (?:i|we) (?:won['’]t|will not) be able
""")
_TASK = _any_of(r"""
    assist|help|fulfil+|comply|provide|complete|answer|respond|generate|create|write|produce|do (?:that|this|so)|process
    access|browse|open|see|view|read|perform|continue|discuss|engage|support|share|give|offer|translate|summari[sz]e
    ability|capability|real[- ]?time|internet|information|personal|request|comfortable|context|opinions?|feelings?
    decline|be of
""")
_FILLER = r"(?: (?:\w+ly|to|of|be|able|in good conscience|the|any|a|an|currently|just|really|here|with))*"
_SORRY = _any_of(r"""
    i(?:['’]m| am) (?:very |so |really |terribly )?(?:sorry|afraid)
    sorry|(?:my )?apologies|i apologi[sz]e|unfortunately|regrettably
    es tut mir leid|tut mir leid|entschuldigung|leider|ich bedaure
    (?:je suis )?désolée?|malheureusement|je m['’]excuse
    lo siento|lamentablemente|desafortunadamente|lamento
    mi dispiace|purtroppo|spiacente
    sinto muito|desculpe|infelizmente
    het spijt me|helaas
    przykro mi|przepraszam|niestety
    извините?|простите?|к сожалению|мне жаль|прошу прощения
    üzgünüm|maalesef|özür dilerim
    (?:很|非常|十分)?(?:抱歉|遗憾|對不起|对不起)|不好意思
    申し訳(?:ありません|ございません|ない)(?:が|。)?|すみませんが?|残念ながら
    죄송합니다만?|죄송하지만|미안하지만|유감스럽게도|안타깝게도
    عذر[اً]+|آسف|أعتذر|للأسف|نعتذر
    (?:मुझे )?(?:खेद|अफ़सोस|अफसोस) है|क्षमा करें|माफ़? ?(?:करें|कीजिए)
    אני מצטער(?:ת)?|לצערי|סליחה
    (?:rất )?(?:xin lỗi|tiếc)
    ขออภัย|ขอโทษ
    (?:mohon )?maaf|sayangnya|förlåt|jag (?:är ledsen|beklagar)|tyvärr|beklager|unnskyld|undskyld|desværre|dessverre
    anteeksi|valitettavasti|olen pahoillani|sajnálom|sajnos|elnézést|omlouvám se|bohužel|je mi líto|prepáčte|žao mi je
    îmi pare rău|din păcate|λυπάμαι|συγγνώμη|δυστυχώς|вибачте|на жаль|перепрошую|съжалявам
    متأسفم|متاسفم|متأسفانه|متاسفانه|ببخشید|معذرت|দুঃখিত|samahani|(?:em sap greu|ho sento|em sento)|malauradament
    மன்னிக்கவும்
""")
_OTHERS_CANNOT = _any_of(r"""
    kann ich|ich kann[^.\n]{0,40} (?:nicht|keine)|ist es mir nicht|bin ich nicht in der lage
    je ne (?:peux pas|suis pas en mesure|dispose pas)|je n['’]ai pas accès
    no (?:puedo|soy capaz de|tengo (?:acceso|la capacidad)|me es posible|puc)
    non (?:posso|sono in grado|ho accesso|mi è possibile)
    não (?:posso|consigo|tenho (?:acesso|a capacidade)|sou capaz de)
    ik kan[^.\n]{0,40} (?:niet|geen)|kan ik[^.\n]{0,40} (?:niet|geen)
    nie (?:mogę|jestem w stanie|mam dostępu)|(?:nemohu|nemůžu|nemôžem|ne mogu)
    я не (?:могу|имею|способ|в состоянии)|не (?:могу|можу|мога)
    tidak (?:dapat|bisa|mampu)|kan (?:jag|jeg)?[^.\n]{0,20}(?:inte|ikke)|en (?:voi|pysty|osaa)|nem (?:tudok|tudom|áll módomban)
    nu (?:vă |te )?pot|δεν μπορώ|نمی‌?توانم|পার(?:ব|ছি|ি) না|siwezi|முடியாது|இயலாது|نہیں کر سک
    i don['’]t know the answer
    (?:yardımcı olamam|yapamam|cevap veremem|yanıtlayamam|erişimim yok|edemem|mümkün değil)
    我(?:无法|不能|不可以|没有办法|無法|沒有辦法|没有能力)|(?:无法|無法|不能)(?:回答|提供|协助|協助|完成|帮助|帮你|满足)
    (?:还没有|還沒有)(?:学习|學習)
    (?:できません|できかねます|いたしかねます|お応えでき|お答えでき|お手伝いでき)
    (?:수 없습니다|수 없어요|할 수 없|드릴 수 없|불가능합니다)
    لا (?:أستطيع|يمكنني|أملك|أقدر)
    (?:नहीं कर सकता|नहीं कर सकती|नहीं दे सकता|नहीं दे सकती|असमर्थ|मदद नहीं)
    (?:איני|אינני|אני לא) (?:יכול|יכולה)
    tôi không thể
    (?:ฉัน|ผม|เรา)?ไม่สามารถ
""")
"""After an apology."""
_CANNOT_TASK = _any_of(r"""
    ich kann (?:ihnen |dir )?(?:dabei |hier(?:bei)? |das |diese \w+ )?(?:leider )?(?:nicht (?:helfen|behilflich|weiterhelfen)|nicht beantworten)
    dabei kann ich|je ne (?:peux|suis) pas (?:vous |t['’])?(?:aider|répondre|fournir|en mesure|accéder|générer)
    no (?:puedo|soy capaz de) (?:ayudar|responder|proporcionar|generar|cumplir|acceder|realizar|completar|asistir|ofrecer)
    non posso (?:aiutar|rispondere|fornire|generare|accedere|soddisfare)|non sono in grado di
    não (?:posso|consigo) (?:ajudar|responder|fornecer|gerar|acessar|atender)
    ik kan (?:je |u )?(?:hier |daar |daarbij )?(?:mee )?niet (?:helpen|mee helpen|beantwoorden)
    nie mogę (?:w tym )?(?:pomóc|odpowiedzieć|udzielić|spełnić)|я не могу (?:помочь|ответить|предоставить|выполнить|создать)
    我(?:无法|不能|不可以|没有办法|無法|沒有辦法|没有能力)(?:为您|为你|給您)?(?:回答|提供|协助|協助|完成|帮|满足|访问|執行|执行|处理|直接|生成|查看)
    (?:お応え|お答え|お手伝い)(?:でき|いたしかね)
    لا (?:أستطيع|يمكنني) (?:مساعد|المساعد|الإجابة|تقديم|تلبية)
    (?:איני|אינני|אני לא) (?:יכול|יכולה) (?:לעזור|לענות|לספק)|tôi không thể (?:giúp|trả lời|cung cấp|hỗ trợ)
    (?:ฉัน|ผม|เรา)?ไม่สามารถ(?:ช่วย|ตอบ|ให้)
""")
"""By itself."""
_TEXT = r"(?:text|input|article|image|details|content|sentence|passage|document|paragraph|photo|picture|attachment|story|code)"
_ASKS_BACK = _any_of(r"""
    (?:it|this)(?: request| content| question)? (?:is|would be) (?:not appropriate|inappropriate|not possible) for me
    this (?:request|prompt|content)[^.\n]{0,40}(?:violates|goes against|breaches)
    (?:(?:sure|of course|certainly|i(?:['’]d| would) be (?:happy|glad) to (?:help|assist))[^.!?\n]{0,30}[.!,] )?(?:please|can you|could you)(?: please)? (?:provide|share|give|upload|paste|attach|include)(?: me)?(?: with)? (?:the |your |more |an? |some )?TEXT
    (?:there (?:is|was|seems to be)|i (?:see|don['’]t see|do not see)) (?:no|any|an) TEXT
    you (?:did not|didn['’]t|have not|haven['’]t) (?:provided?|included?|given?|shared?|attach\w*) (?:me with )?(?:any|the|an?) TEXT
    it (?:looks|seems|appears)(?: like| that)? you[^.\n]{0,20}(?:forgot|did not|didn['’]t|have not|haven['’]t)[^.\n]{0,30}TEXT
    i(?:['’]d| would)? (?:need|require)(?: some| a bit| a little)? more (?:information|context|details) to (?:answer|help|assist|complete|provide|respond)
    i (?:don['’]t|do not) have (?:enough|sufficient) (?:information|context|details)|i must (?:respectfully |politely )?decline
    my (?:knowledge|training)[^.\n]{0,20} (?:cutoff|cut-off|ends|only)|let['’]s (?:talk about something else|change the (?:subject|topic))[.!]
    bitte (?:geben|teilen|fügen|stellen|senden|laden) sie[^.\n]{0,30}(?:text|artikel|satz|bild|inhalt)
    veuillez (?:fournir|indiquer|partager|coller|saisir)[^.\n]{0,20}(?:texte|article|phrase|image)
    por favor,? (?:proporcion|compart|indi[cq]|enví|pe[gu]|forne|envi|cole)\w*[^.\n]{0,20}(?:texto|artículo|artigo|frase|imagen|imagem|oración)
    (?:per favore,? )?(?:fornisci|inserisci|incolla|condividi)[^.\n]{0,20}(?:testo|articolo|frase|immagine)
    (?:пожалуйста, )?(?:предоставьте|пришлите|введите|укажите|вставьте)[^.\n]{0,20}(?:текст|стать|предложен|изображ)
    请(?:您)?(?:提供|输入|上传|粘贴|告诉我|给出)[^。\n]{0,12}(?:文本|内容|文章|句子|图片|段落|信息|原文)
    [^。\n]{0,16}(?:文章|テキスト|画像|内容)を(?:入力|提供|教え|貼り付け|ご提供|ご入力)
    [^.\n]{0,12}(?:텍스트|문장|이미지|내용)[을를]? ?(?:제공|입력|알려|공유)
""").replace("TEXT", _TEXT)
_BEFORE = r"[\s\"'“”‘’*_>\[(]*(?:(?:oh|hm+|well|hello|hi)[,.!]? )?"
_GAP = r"[^.!?。！？\n]{0,60}?"
REFUSAL = (
    rf"(?i)^{_BEFORE}(?:{_MODEL}|(?:{_SORRY}{_GAP})?{_CANNOT}{_FILLER} ?\b{_TASK}|{_SORRY}{_GAP}{_MODEL}|"
    rf"{_SORRY}[^\n]{{0,60}}?{_OTHERS_CANNOT}|{_CANNOT_TASK}|(?:{_SORRY}{_GAP})?{_ASKS_BACK})"
)
"""How a refusal begins, or a remark of a model about itself."""

_NOTHING = _any_of(r"""
    no[ _-]?(?:output|response|answer|result|reply|input)s?(?: (?:needed|required|available|given|provided|necessary))?
    n/?\.?a\.?|not (?:applicable|available|provided|specified)|tbd|t\.b\.d\.|todo
    to be (?:done|determined|added|filled in)|(?:this is )?an? placeholder|there is no (?:output|answer|response)
    (?:same )?as above|see above|(?:sample|example) (?:output|answer|response)|\[object object\]|x{3,9}|略|k\. ?a
    (?:insert|add|put|write|enter|your)(?: your| the| an?)? (?:answer|output|response|text|example)(?: here)?
    (?:answer|output|response|text) here|output|answer|response|placeholder|empty|blank|lorem ipsum[^\n]*
    keine (?:ausgabe|antwort)|nicht zutreffend|sin (?:salida|respuesta)|no aplica
    aucune? (?:sortie|réponse)|sans (?:objet|réponse)
    nessun[ao]? (?:output|risposta)|non applicabile|sem (?:saída|resposta)|não (?:se aplica|aplicável)
    geen (?:uitvoer|antwoord)|niet van toepassing|brak (?:odpowiedzi|danych)|nie dotyczy|inget svar
    нет (?:вывода|ответа|данных)|не применимо|неприменимо|cevap yok|çıktı yok
    không có (?:câu trả lời|đầu ra)|không áp dụng
    (?:无|無|没有|沒有)(?:输出|輸出|答案|回答)|不适用|不適用
    (?:出力|回答|解答)(?:は)?(?:なし|無し|ありません)|該当なし
    (?:출력|답변|응답) ?없음|해당 ?없음
    لا (?:يوجد|توجد) (?:إخراج|مخرجات|إجابة|رد)|لا ينطبق|אין (?:פלט|תשובה)|לא רלוונטי
    कोई (?:आउटपुट|उत्तर|जवाब) नहीं|लागू नहीं|ไม่มี(?:คำตอบ|ข้อมูล)
""")
_AROUND = r"\s\"'“”‘’*_`<>\[\](){}（）【】"
PLACEHOLDER = rf"(?i)^[{_AROUND}-]*{_NOTHING}[{_AROUND}.:。!-]*$"
"""A whole answer that says there is none."""

DOTS = r"^(?:[\s.…_\-–—*□?？]{3,}|…)$"
"""A whole answer of dots or dashes."""

_refusal, _placeholder, _dots = re.compile(REFUSAL), re.compile(PLACEHOLDER), re.compile(DOTS)


def is_refusal(answer: str) -> bool:
    """Whether a short answer refuses its task or speaks of the model that wrote it."""
    return len(answer.encode("utf-8", "replace")) < LONGEST_REFUSAL_BYTES and _refusal.search(answer) is not None


def is_placeholder(answer: str) -> bool:
    """Whether an answer stands for one that is missing: `<nooutput>`, `N/A`, `[No output]`, `...`."""
    return _placeholder.match(answer) is not None or _dots.match(answer) is not None
