import html
import unicodedata

import pytest

from cir_tf.cleaning import cleaned


def clean(*texts):
    return [each.decode() for each in cleaned(list(texts)).numpy()]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("  A  Red\tdress\n", "a red dress"),
        ("nb\u00a0em\u2003id\u3000ls\u2028vt\x0bx\x0c", "nb em id ls vtx"),  # a vertical tab is dropped, as ftfy does
        ("ÀÉÎ ΣΑΣ ẞ", "àéî σας ß"),
        ("don’t ‘a’ “b” „c‟", 'don\'t \'a\' "b" "c"'),
        ("ﬁt ﬄ ﬅ Ǆ", "fit ffl ſt dž"),
        ("ＡＢ１！ ﾃｽﾄ", "ab1! テスト"),
        ("a\x00b\x07c\ufeffd\x7f\x1b[31me", "abcde"),
        ("n\u0303 e\u0302\u0323 e\u0323\u0302 \u212b q\u0301", "ñ ệ ệ å q\u0301"),
        ("\x93a\x94", '"a"'),
        ("a&amp;b &lt;c&gt; &eacute; &EACUTE; &hearts;", "a&b <c> é é ♥"),
        ("&amp;amp; &amp;eacute;", "& é"),
        ("&#233; &#xE9; &#XE9; &#00233; &#150; &#146;s", "é é é é – 's"),
        ("&#0; &#55296; &#1114112; &#99999999999;", "\ufffd \ufffd \ufffd \ufffd"),
        ("&eacute &eacuteclair &notit; &ampfoo &nosuch; & &;", "é éclair ¬it; &foo &nosuch; & &;"),
        ("&sup2x &supx", "²x &supx"),
        ("&#8217;&#x2019", "'’"),  # without a semicolon it is decoded after the quotes are straightened
        ("it&rsquo;s &amp;rsquo;", "it's '"),
        ("<b> it&rsquo;s &#x2019", "<b> it’s ’"),  # with a tag the repair does not decode, so no quote is straightened
        ("😀👍🏽 日本", "😀👍🏽 日本"),
        ("", ""),
        (" \n", ""),
        ("\x01&\x01", "&"),
    ],
)
def test_cleaning(text, expected):
    assert clean(text) == [expected]


def test_texts_are_cleaned_one_by_one():
    assert clean("a &amp; B", "", "<i> &amp;", "&amp;amp;lt;") == ["a & b", "", "<i> &", "<"]


def test_every_name_of_html_is_decoded():
    names = [f"<x &{name}" for name in html.entities.html5]
    differ = [
        name
        for name, got in zip(names, clean(*names), strict=True)
        if got != " ".join(html.unescape(name).split()).lower()
    ]
    assert not differ


def test_every_composed_letter_is_composed():
    letters = [chr(code) for code in [*range(0xC0, 0x250), *range(0x386, 0x3CF), *range(0x1E00, 0x1F00)]]
    apart = [unicodedata.normalize("NFD", each) for each in letters]
    differ = [each for each, got in zip(letters, clean(*apart), strict=True) if got != clean(each)[0]]
    assert not differ
    assert clean("E\u0301") == ["é"]


def test_bytes_that_are_no_text_are_dropped():
    assert clean(b"a\xff\xc3b") == ["ab"]
