"""Words that ask for what a text-only model cannot provide: pictures, sound, video, files, maps, drawings.

The English list is that of Self-Instruct (its released code; arXiv 2212.10560). The other lists name pictures,
photographs, video, sound, drawings and maps by words that hardly mean anything else, because missing some such tasks
is better than rejecting good ones. A list applies only to texts in its own language: the Dutch "map" is a folder, and
the French "file" a queue. Texts in other languages are not checked.
"""

from __future__ import annotations

import polars as pl

from sedi_dagster.texts.language import language_of

UNSERVABLE = (
    "image images graph graphs picture pictures file files map maps draw plot video audio music flowchart diagram"
).split()

KEYWORDS: dict[str, str] = {
    "en": rf"\b(?:{'|'.join(UNSERVABLE)}|go to)\b",
    "de": r"\b(?:bild(?:s|es|er|ern)?|fotos?|videos?|audiodatei\w*|zeichne|landkarten?|flussdiagramme?)\b",
    "fr": r"\b(?:images?|photos?|photographies?|vidéos?|audio|dessine[rz]?|diagrammes?)\b",
    "es": r"\b(?:im[aá]gen(?:es)?|fotos?|fotograf[ií]as?|v[ií]deos?|audios?|dibuj[ae]|dibujar|mapas?|diagramas?)\b",
    "pt": r"\b(?:imagem|imagens|fotos?|fotografias?|v[ií]deos?|áudios?|desenh[ae]|desenhar|mapas?|diagramas?)\b",
    "it": r"\b(?:immagin[ei]|foto|fotografi[ae]|video|audio|disegna|disegnare|mappa|mappe|diagramm[ai])\b",
    "nl": r"\b(?:afbeelding(?:en)?|foto'?s?|video'?s?|plaatje|plaatjes|teken|landkaart)\b",
    "sv": r"\b(?:bild(?:en|er|erna)?|foto(?:t|n)?|video(?:n|r)?|rita|diagram(?:met)?)\b",
    "pl": r"\b(?:obraz(?:ek|ka|ku|ki|ków)|zdjęci[eau]|wideo|nagranie|narysuj|map[aęy]|diagram\w*)\b",
    "ru": r"\b(?:картинк\w+|изображени\w+|фотографи\w+|фото|видео|аудио\w*|нарисуй(?:те)?|диаграмм\w+)\b",
    "uk": r"\b(?:картинк\w+|зображен\w+|фотографі\w+|фото|відео|аудіо\w*|намалюй(?:те)?|діаграм\w+)\b",
    "tr": r"\b(?:resim\w*|resmi\w*|fotoğraf\w*|video\w*|görsel\w*|harita\w*|diyagram\w*)\b",
    "vi": r"\b(?:hình ảnh|bức ảnh|bức tranh|video|âm thanh|bản đồ|sơ đồ|vẽ)\b",
    "id": r"\b(?:gambar(?:lah|kan)?|foto|video|audio|peta|diagram)\b",
    "ar": r"\b(?:ال)?(?:صورة|صور|فيديو|خريطة|مخطط)\b|\bارسم\b",
    "fa": r"\b(?:تصویر|تصاویر|عکس|ویدیو|ویدئو|نقشه|نمودار)\b",
    "hi": r"(?:तस्वीर|चित्र|फ़ोटो|फोटो|वीडियो|ऑडियो|मानचित्र)",
    "bn": r"(?:ছবি|চিত্র|ভিডিও|অডিও|মানচিত্র)",
    "th": r"(?:รูปภาพ|ภาพถ่าย|ภาพด้านล่าง|วิดีโอ|ไฟล์เสียง|แผนที่|แผนภาพ)",
    "ko": r"(?:이미지|사진|그림을|동영상|비디오|오디오|지도를|그려)",
    "ja": r"(?:画像|写真|動画|ビデオ|音声|地図|図を描|絵を描|フローチャート)",
    "zh": r"(?:图[片像]|圖[片像]|照片|视频|影片|音频|音頻|录音|地[图圖]|流程[图圖]|画一[张幅个]|画出|畫出|绘制|繪製)",
}  # fmt: skip
"""By language code: a regular expression for lower-case text."""


def asks_for_what_text_cannot_serve(texts: pl.Series) -> pl.Series:
    """Return whether each text contains a keyword of its own language."""
    lowered = texts.str.to_lowercase()
    found = pl.DataFrame({code: lowered.str.contains(pattern) for code, pattern in KEYWORDS.items()})
    suspects = found.select(pl.any_horizontal(pl.all())).to_series().fill_null(False)
    confirmed = [
        row.get(language_of(text), False)
        for text, row in zip(texts.filter(suspects), found.filter(suspects).iter_rows(named=True), strict=True)
    ]
    return pl.repeat(False, len(texts), eager=True).scatter(suspects.arg_true(), confirmed)
