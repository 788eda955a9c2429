import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexigraft.data.repair import half_width, one_space, simplified, without_control, without_html

PIECES = (
    "<br> <br/> <b> </b> <p_class='x'> <!-- --> &lt; &amp; &#x200b; < > <3 </ script> <script> a 好 _ ' & ; <![CDATA[ "
    "]]> <?xml_ <!x"
)
MARKUP = st.lists(st.sampled_from(PIECES.split()), max_size=12).map(lambda parts: "".join(parts).replace("_", " "))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("好<br>书", "好 书"),
        ("好<BR/>书", "好 书"),
        ("<p>好<b>书</b></p>", " 好书 "),
        ("<a href='x' title=\"1 > 2\">书</a>", "书"),
        ("1 &lt; 2 &amp; 3&gt;2&nbsp;&#33;", "1 < 2 & 3>2\xa0!"),
        ("AT&T R&D", "AT&T R&D"),
        ("&lt;br/&gt;", " "),
        ("&amp;lt;br/&amp;gt;", " "),
        ("a<!-- no -->b", "ab"),
        ("a<script>var x = 1 < 2;</script>b", "a b"),
        ("<style type='x'>p {}</style>b", " b"),
        ("<title>R&amp;D", " R&D"),
        ("<?xml version='1'?><!DOCTYPE html>x", "x"),
        ("<![CDATA[x]]>", "x"),
        # What is no tag
        ("1<2", "1<2"),
        ("<3 </3", "<3 </3"),
        ("《<书名>》", "《<书名>》"),
        ("<John Smith> said", "<John Smith> said"),
        ("x <a href='", "x <a href='"),
        ("</> <!x> <?", "</> <!x> <?"),
        ("", ""),
    ],
)
def test_html_becomes_what_a_browser_shows(text, shown):
    assert without_html(text) == shown


@settings(deadline=None)
@given(MARKUP)
def test_html_is_taken_out_whole_and_never_grows(text):
    shown = without_html(text)
    assert without_html(shown) == shown
    assert len(shown) <= len(text)


@given(st.text(alphabet="ab好 。,!1\n"))
def test_text_without_markup_stays(text):
    assert without_html(text) == without_control(text) == text


def test_control_characters_go_and_breaks_become_spaces():
    assert without_control("a\x00b\u200bc\ufeffd\u00ade\x9ff\u202eg\u2060h\U000e0041") == "abcdefgh"
    assert without_control("a\x0bb\x0cc\x85d\u2028e\x1cf") == "a b c d e f"
    assert without_control("a\tb\nc\r\n") == "a\tb\nc\r\n"


def test_joiners_stay_where_they_join():
    family, persian = "👨\u200d👩\u200d👧", "می\u200cخواهم"
    assert without_control(family) == family
    assert without_control(persian) == persian
    assert without_control("a\u200db 好\u200c书\u200d") == "ab 好书"


def test_full_width_characters_and_only_they_become_half_width():
    assert half_width("ＡＢｚ０９！，：～　") == "ABz09!,:~ "
    assert half_width("ＡＢｚ０９！，：～　", "letters") == "ABz09！，：～ "
    assert half_width("。、《好》ｱ￥") == "。、《好》ｱ￥"


def test_white_space_is_evened():
    assert one_space(" a \t\u3000b\n\nc\xa0") == "a b c"


def test_traditional_becomes_simplified():
    pytest.importorskip("opencc")
    assert simplified("漢字轉換，後來在裡面") == "汉字转换，后来在里面"
    assert simplified("乾坤 plain 简体") == "乾坤 plain 简体"
