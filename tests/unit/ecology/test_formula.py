"""Formulas as R reads them, and the columns that come of them."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.ecology.design import Design, refuse_dependent_columns
from trapline.ecology.formula import parse_formula
from trapline.errors import DataError, TraplineError, UsageError

DATA = {
    "a": np.array([1.0, 2.0, 3.0, 4.0]),
    "b": np.array([0.5, 0.0, -1.0, 2.0]),
    "h": np.array(["wood", "field", "wood", "moor"], object),
    "k": np.array(["n", "s", "s", "n"], object),
    "odd name": np.array([1.0, 0.0, 0.0, 0.0]),
}


def columns(text: str) -> dict[str, list[float]]:
    """The columns of a formula for DATA."""
    design = Design(parse_formula(text))
    matrix = design.matrix(DATA, 4)
    return dict(zip(design.names, matrix.T.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1", ["(Intercept)"]),
        ("", ["(Intercept)"]),
        ("~1", ["(Intercept)"]),
        ("~ a + b", ["(Intercept)", "a", "b"]),
        ("a:b + a", ["(Intercept)", "a", "a:b"]),
        ("a*b", ["(Intercept)", "a", "b", "a:b"]),
        ("(a + b)^2", ["(Intercept)", "a", "b", "a:b"]),
        ("a*b - a:b", ["(Intercept)", "a", "b"]),
        ("a - 1", ["a"]),
        ("0 + a", ["a"]),
        ("a + a", ["(Intercept)", "a"]),
        ("b:a + a:b", ["(Intercept)", "b:a"]),
        ("I(a^2)", ["(Intercept)", "I(a^2)"]),
        ("log(a) + I((a - 1) * b)", ["(Intercept)", "log(a)", "I((a - 1) * b)"]),
        ("h", ["(Intercept)", "hmoor", "hwood"]),
        ("h - 1", ["hfield", "hmoor", "hwood"]),
        ("h + k - 1", ["hfield", "hmoor", "hwood", "ks"]),
        ("h*a", ["(Intercept)", "hmoor", "hwood", "a", "hmoor:a", "hwood:a"]),
        ("k:a", ["(Intercept)", "kn:a", "ks:a"]),
        ("h*k", ["(Intercept)", "hmoor", "hwood", "ks", "hmoor:ks", "hwood:ks"]),
        ("I(b/(a/2) - (a - b)^2)", ["(Intercept)", "I(b/(a/2) - (a - b)^2)"]),
        ("factor(a)", ["(Intercept)", "factor(a)2", "factor(a)3", "factor(a)4"]),
        ("`odd name`", ["(Intercept)", "odd name"]),
    ],
)
def test_the_columns_are_those_of_model_matrix(text: str, names: list[str]) -> None:
    assert list(columns(text)) == names


def test_the_values_are_those_that_the_names_say() -> None:
    made = columns("I(-a^2 + 1/2) + log(a):b + scale(a) + h")
    a, b = DATA["a"].astype(float), DATA["b"].astype(float)
    assert made["I(-a^2 + 1/2)"] == pytest.approx(-(a**2) + 0.5)
    assert made["log(a):b"] == pytest.approx(np.log(a) * b)
    assert made["scale(a)"] == pytest.approx((a - 2.5) / a.std(ddof=1))
    assert made["hmoor"] == [0, 0, 0, 1]


def test_what_was_learnt_holds_for_other_data() -> None:
    design = Design(parse_formula("scale(a) + h"))
    design.matrix(DATA, 4)
    one = design.matrix({"a": np.array([2.5]), "h": np.array(["wood"], object)}, 1)
    assert one.tolist() == [[1.0, 0.0, 0.0, 1.0]]
    with pytest.raises(DataError, match="h has lake, which the model was not fitted with"):
        design.matrix({"a": np.array([2.5]), "h": np.array(["lake"], object)}, 1)


def test_a_missing_covariate_is_a_missing_row() -> None:
    data = {"a": np.array([1.0, np.nan, 2.0, 3.0]), "h": np.array(["x", "y", None, "x"], object)}
    matrix = Design(parse_formula("a * h")).matrix(data, 4)
    assert np.isnan(matrix).any(axis=1).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +", "has its end where"),
        ("a b", "has b where an operator"),
        ("(a", "closing bracket"),
        ("poly(a, 2)", r"poly\(\), which is not known here.*x \+ I\(x\^2\)"),
        ("__import__('os')", "not known"),
        ("a^b", "a degree from 1 to 5"),
        ("2", "a column, a function or 1"),
        ("a - a - 1", "has no term"),
        ("a $ b", r"has '\$'"),
        ("c", "names c, which is no covariate; there are a, b"),
        ("log(h)", "takes a number of h, which is text"),
    ],
)
def test_what_is_no_formula_is_refused_with_words(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        columns(text)


def test_what_is_undefined_is_named() -> None:
    with pytest.raises(DataError, match=r"log\(b\) is undefined or infinite where its argument is -1, 0"):
        columns("log(b)")
    with pytest.raises(DataError, match="one level only"):
        Design(parse_formula("h")).matrix({"h": np.array(["x", "x"], object)}, 2)


def test_a_column_that_follows_from_others_is_named() -> None:
    matrix = np.column_stack([np.ones(4), DATA["a"].astype(float), 2 * DATA["a"].astype(float) + 1])
    with pytest.raises(DataError, match="z follows from the other columns"):
        refuse_dependent_columns(matrix, ("(Intercept)", "a", "z"), "psi")


@given(st.text(alphabet="ab hk120+-*:^()~I,log`./", max_size=25))
def test_any_text_is_columns_or_an_error_with_words(text: str) -> None:
    with suppress(TraplineError):
        assert columns(text)


@pytest.mark.parametrize("sign", ["^", "+", "/", "-"])
def test_a_chain_that_never_ends_is_refused_and_no_recursion_error(sign: str) -> None:
    with pytest.raises(UsageError, match="more than 400 words"):
        parse_formula(f"I(x{f'{sign}x' * 5000})")
    with pytest.raises(UsageError, match="more than 50 brackets or operations"):
        parse_formula(f"I(x{f'{sign}x' * 190})")
    longest = parse_formula(f"I(x{f'{sign}x' * 45})")
    assert longest.columns == ("x",)
    assert str(longest.terms[1][0]).count("x") == 46
