"""Small tasks in twelve languages, for tests: three ways to ask about seven subjects, and an answer to each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A language: what a prompt calls it, `ways` to ask about a subject, `subjects`, the beginning of an answer."""

    code: str
    name: str
    ways: tuple[str, ...]
    subjects: tuple[str, ...]
    answer: str

    def instructions(self) -> list[str]:
        return [way.format(subject) for subject in self.subjects for way in self.ways]

    def answer_to(self, instruction: str) -> str:
        """The answer names the subject, so that no two answers are the same."""
        subject = next((subject for subject in self.subjects if subject in instruction), "")
        return f"{self.answer}{subject}"


TWELVE = (
    Language(
        "zh",
        "Chinese",
        (
            "请用三句话解释为什么{}对人们很重要。",
            "给一个十岁的孩子讲一讲{}是怎么来的。",
            "列出关于{}的五个常见问题并回答。",
        ),
        ("蓝色的天空", "新鲜的蔬菜", "早晨的阳光", "古老的城墙", "安静的图书馆", "山里的泉水", "冬天的大雪"),
        "这个问题的答案是",
    ),
    Language(
        "ja",
        "Japanese",
        (
            "{}が大切な理由を三つの文で説明してください。",
            "十歳の子どもに{}について話してください。",
            "{}に関するよくある質問を五つ挙げて答えてください。",
        ),
        ("青い空", "新しい野菜", "朝の光", "古い城", "静かな図書館", "山の泉", "冬の雪"),
        "その答えは",
    ),
    Language(
        "th",
        "Thai",
        ("อธิบายสั้น ๆ ว่าทำไม{}จึงสำคัญต่อผู้คน", "เล่าเรื่อง{}ให้เด็กอายุสิบขวบฟัง", "เขียนคำถามที่พบบ่อยห้าข้อเกี่ยวกับ{}พร้อมคำตอบ"),
        ("ท้องฟ้าสีคราม", "ผักสด", "แสงแดดยามเช้า", "กำแพงเมืองเก่า", "ห้องสมุด", "น้ำพุบนภูเขา", "ฤดูหนาว"),
        "คำตอบคือ",
    ),
    Language(
        "ko",
        "Korean",
        (
            "{} 왜 사람들에게 중요한지 세 문장으로 설명해 주세요.",
            "열 살 아이에게 {} 관한 이야기를 들려주세요.",
            "{} 대해 자주 묻는 질문 다섯 개를 쓰고 답하세요.",
        ),
        ("푸른 하늘", "신선한 채소", "아침 햇빛", "오래된 성벽", "조용한 도서관", "산속의 샘물", "겨울 눈"),
        "그 질문의 답은 ",
    ),
    Language(
        "ru",
        "Russian",
        (
            "Объясните в трёх предложениях, почему для людей важно {}.",
            "Расскажите десятилетнему ребёнку, откуда взялось {}.",
            "Приведите пять частых вопросов про {} и ответьте на них.",
        ),
        (
            "голубое небо",
            "свежее молоко",
            "утреннее солнце",
            "старое здание",
            "тихое озеро",
            "горное село",
            "зимнее поле",
        ),
        "Ответ на этот вопрос: ",
    ),
    Language(
        "ar",
        "Arabic",
        (
            "اشرح في ثلاث جمل لماذا {} مهم للناس في كل مكان.",
            "احك لطفل عمره عشر سنوات قصة قصيرة عن {} وأصله.",
            "اكتب خمسة أسئلة شائعة حول {} ثم أجب عنها.",
        ),
        ("لون السماء", "الخبز الطازج", "ضوء الصباح", "السور القديم", "الكتاب المفيد", "ماء الجبل", "ثلج الشتاء"),
        "الجواب عن هذا السؤال هو ",
    ),
    Language(
        "hi",
        "Hindi",
        (
            "तीन वाक्यों में समझाइए कि {} लोगों के लिए क्यों ज़रूरी है।",
            "दस साल के बच्चे को बताइए कि {} कहाँ से आता है।",
            "{} के बारे में पाँच आम सवाल लिखिए और उनके जवाब दीजिए।",
        ),
        ("नीला आसमान", "ताज़ा दूध", "सुबह का उजाला", "पुराना किला", "शांत पुस्तकालय", "पहाड़ का झरना", "सर्दी का मौसम"),
        "इस सवाल का जवाब है ",
    ),
    Language(
        "de",
        "German",
        (
            "Überlege, warum {} für die Menschen wichtig ist, und erkläre es in drei Sätzen.",
            "Erzähle einem zehnjährigen Kind, woher {} kommt.",
            "Äußere dich zu fünf häufigen Fragen über {} und beantworte sie.",
        ),
        (
            "der blaue Himmel",
            "frische Milch",
            "das Morgenlicht",
            "die alte Mauer",
            "Stille",
            "Quellwasser",
            "der Schnee",
        ),
        "Die Antwort auf diese Frage lautet: ",
    ),
    Language(
        "fr",
        "French",
        (
            "Écris trois phrases pour expliquer pourquoi {} compte pour les gens.",
            "Raconte à un enfant de dix ans d'où vient {}.",
            "À propos de {}, réponds à cinq questions que l'on pose souvent.",
        ),
        ("le ciel bleu", "le lait frais", "la lumière du matin", "le vieux mur", "le silence", "la source", "la neige"),
        "La réponse à cette question est ",
    ),
    Language(
        "es",
        "Spanish",
        (
            "¿Por qué {} es importante para la gente? Explícalo en tres frases.",
            "Cuéntale a un niño de diez años de dónde viene {}.",
            "Escribe cinco preguntas frecuentes sobre {} y respóndelas.",
        ),
        ("el cielo azul", "la leche fresca", "la luz del alba", "el viejo muro", "el silencio", "el agua", "la nieve"),
        "La respuesta a esa pregunta es ",
    ),
    Language(
        "vi",
        "Vietnamese",
        (
            "Hãy giải thích trong ba câu vì sao {} quan trọng với mọi người.",
            "Kể cho một em bé mười tuổi nghe {} có từ đâu.",
            "Viết năm câu hỏi thường gặp về {} rồi trả lời.",
        ),
        ("bầu trời xanh", "sữa tươi", "ánh sáng buổi sáng", "bức tường cổ", "sự yên tĩnh", "nước suối", "mùa đông"),
        "Câu trả lời cho câu hỏi này là ",
    ),
    Language(
        "tr",
        "Turkish",
        (
            "İnsanlar için {} neden önemlidir? Üç cümleyle açıkla.",
            "On yaşındaki bir çocuğa {} nereden gelir, anlat.",
            "Hakkında sık sorulan beş soruyu yaz ve yanıtla: {}.",
        ),
        ("mavi gökyüzü", "taze süt", "sabah ışığı", "eski duvar", "sessizlik", "kaynak suyu", "kış karı"),
        "Bu sorunun yanıtı şudur: ",
    ),
)
