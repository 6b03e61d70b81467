"""From bytes that strangers send to photos: what is right comes through whole, what is not is refused."""

import base64
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import ModelFile
from trapline.models.tf_signature import TfSignature
from trapline.serving import protos, tf, v2
from trapline.serving.answers import PreparedPhoto, RequestPhoto
from trapline.serving.body import Held, parse_base64, parse_boxes, parse_form, parse_json
from trapline.serving.predict_request import Options, from_json
from trapline.serving.refusals import RefusedError
from trapline.serving.shelf import Served
from trapline.serving.tensors import pixels_as_sources
from trapline.serving.v2_rest import _InferRequest


@pytest.fixture(scope="module")
def served(write_tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served("tiny", ModelFile(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")))


def form_of(files: list[tuple[str, bytes]], boundary: str = "edge") -> bytes:
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_the_files_of_a_form_come_through_whole(contents: list[bytes]) -> None:
    files = [(f"photo {place}.jpg", content) for place, content in enumerate(contents)]
    boundary = "a boundary that no photo holds".replace(" ", "-")
    photos, _ = parse_form(form_of(files, boundary), f'multipart/form-data; boundary="{boundary}"')
    assert [(photo.name, photo.content) for photo in photos] == files


def parts_of(*heads: bytes, content: bytes = b"a photo") -> bytes:
    return (
        b"".join(b"--edge\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head in heads) + b"--edge--\r\n"
    )


EDGE = "multipart/form-data; boundary=edge"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("name=\"file\"; filename*=UTF-8''hare%20%C3%A9.jpg", "hare é.jpg"),
        ("name=photo; FileName*=utf-8'en'%F0%9F%A6%8A.jpg", "\U0001f98a.jpg"),
        ("name=photo; filename*=iso-8859-1''%E9.jpg", "é.jpg"),
        ("name=photo; filename*=%C3%A9.jpg", "é.jpg"),
        ("name=photo; filename*0*=UTF-8''%C3%A9; filename*1=.jpg", "é.jpg"),
        ('name=photo; filename*0="ha"; filename*1="re.jpg"', "hare.jpg"),
        ("name=photo; filename==?utf-8?B?w6kuanBn?=; filename*=utf-8''%C3%A9.jpg", "é.jpg"),
        ("filename=hare.jpg; name=photo", "hare.jpg"),
        ("filename=hare.jpg", "hare.jpg"),
        (r'name="photo"; filename="a \"b\" c\\d.jpg"', r'a "b" c\d.jpg'),
        ('name="photo"; filename="a;b=c.jpg"', "a;b=c.jpg"),
        ('name="photo"; filename="é\'s.jpg"', "é's.jpg"),
        ('name="photo"; filename=""', ""),
        ('name="file"', None),
        ('name="photo"\r\nContent-Type: image/jpeg', None),
        ('name="photo"\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary', None),
    ],
)
def test_a_file_of_a_form_may_be_named_in_any_way_or_not_at_all(said: str, name: str | None) -> None:
    content = parts_of(
        f"Content-Disposition: form-data; {said}".encode(), b'content-disposition: form-data; name="top"'
    )
    photos, fields = parse_form(content, EDGE)
    assert photos == [RequestPhoto(b"a photo", name)]
    assert fields == {"top": "a photo"}


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        ([b"content-disposition: form-data; name=file; filename*=rot13''n.wct"], "send it in UTF-8"),
        ([b"content-disposition: form-data; name=top"] * 2, "'top' twice"),
        ([b"x: y"], "neither a name nor a file"),
        ([b"content-disposition: form-data"], "neither a name nor a file"),
        (
            [b"content-disposition: form-data; name=file\r\ncontent-transfer-encoding: base64"],
            "without a transfer encoding",
        ),
    ],
)
def test_a_part_that_cannot_be_understood_is_refused(heads: list[bytes], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        parse_form(parts_of(*heads), EDGE)


@given(st.binary(max_size=200).filter(lambda head: b"\r" not in head and b"\n" not in head))
def test_no_name_of_a_part_breaks_the_server(garbage: bytes) -> None:
    for beginning in (
        b"",
        b"form-data; name=x; filename*",
        b"form-data; filename*=UTF-8''",
        b'form-data; name="',
    ):
        try:
            photos, fields = parse_form(parts_of(b"content-disposition: " + beginning + garbage), EDGE)
        except RefusedError:
            continue
        assert len(photos) + len(fields) == 1


@given(st.binary(max_size=400))
def test_a_form_of_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(RefusedError, match="multipart"):
        parse_form(garbage, "multipart/form-data; boundary=edge")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (form_of([("a", b"x")])[:-4], "multipart/form-data; boundary=edge"),
        (form_of([("a", b"x")]), "multipart/form-data"),
        (form_of([("a", b"x")]), "multipart/form-data; boundary="),
        (form_of([("a", b"x")]), "multipart/form-data; boundary=other"),
        (form_of([("a", b"x")] * 200), "multipart/form-data; boundary=edge"),
        (b"--edge\r\n" + b"a: b\r\n" * 1000 + b"\r\nx\r\n--edge--", "multipart/form-data; boundary=edge"),
        (b"--edge\r\n" + b"a: " + b"b" * 100_000 + b"\r\n\r\n", "multipart/form-data; boundary=edge"),
    ],
    ids=["cut", "no boundary", "empty boundary", "other boundary", "many parts", "many heads", "long head"],
)
def test_a_form_that_is_not_whole_or_too_much_is_refused(content: bytes, content_type: str) -> None:
    with pytest.raises(RefusedError):
        parse_form(content, content_type)


@given(st.binary(max_size=200))
def test_base64_comes_through_with_and_without_the_head_of_an_address(content: bytes) -> None:
    text = base64.b64encode(content).decode()
    assert parse_base64(text) == parse_base64(f"data:image/jpeg;base64,{text}") == content


@pytest.mark.parametrize("text", ["=", "a", "a b", "é", "YQ==YQ=="])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="base64"):
        parse_base64(text)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 200_000, b"1" * 5000, b"nul"])
def test_what_is_not_json_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError, match="not JSON"):
        parse_json(content)


def test_half_a_character_is_refused_because_no_answer_could_hold_it() -> None:
    with pytest.raises(RefusedError, match="lone surrogate"):
        parse_json(rb'{"name": "\ud83e"}')
    assert parse_json(rb'{"name": "\ud83e\udd8a \\ud83e"}') == {"name": "\U0001f98a \\ud83e"}


def test_boxes_come_as_a_catalog_has_them() -> None:
    given_box = {"x": 0.1, "y": 0, "width": 0.5, "height": 1, "conf": 0.9}
    assert parse_boxes([given_box]) == [
        {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.0, "width": 0.5, "height": 1.0}
    ]
    assert parse_boxes(None) is None


@pytest.mark.parametrize(
    "boxes",
    [
        3,
        [3],
        [{}],
        [None],
        [{}] * 2000,
        [{"x": "a"}],
        [{"x": 2, "y": 0, "width": 1, "height": 1}],
        [{"x": float("nan"), "y": 0, "width": 1, "height": 1}],
    ],
)
def test_what_are_not_boxes_is_refused(boxes: Any) -> None:
    with pytest.raises(RefusedError, match="box"):
        parse_boxes(boxes)


def test_of_many_members_that_there_are_not_one_is_named(served: Served) -> None:
    """An error made of each would take a kilobyte a member."""
    many = b",".join(b'"k%d":0' % number for number in range(10**5))
    outputs = b'{"name":"probabilities"},' * 50_000
    for read, content, said in (
        (lambda content: from_json(content, Options()), b'{"image":"",' + many + b"}", "no option 'k"),
        (lambda content: from_json(content, Options()), b'{"image":{' + many + b"}}", "There is no 'k"),
        (
            lambda content: _InferRequest(content, None, served.model.card),
            b'{"inputs":[],"outputs":[' + outputs[:-1] + b"]}",
            "outputs: List should have at most 8 items",
        ),
    ):
        tracemalloc.start()
        with pytest.raises(RefusedError, match=said):
            read(content)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 50 * 2**20


def test_bytes_in_memory_are_counted_and_bounded() -> None:
    held = Held(most=10)
    held.add(8)
    with pytest.raises(RefusedError) as refused:
        held.add(3)
    assert refused.value.kind.http == 429
    assert refused.value.retry_after == 1
    assert held.bytes == 8


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_bytes_tensors_come_through_whole(contents: list[bytes]) -> None:
    raw = b"".join(len(one).to_bytes(4, "little") + one for one in contents)
    assert v2.split_bytes(raw) == contents
    with pytest.raises(RefusedError, match="add up"):
        v2.split_bytes(raw + b"\x05\x00\x00\x00abc")


def test_millions_of_empty_photos_in_one_tensor_are_not_looked_at() -> None:
    raw = bytes(2**26)
    started = time.process_time()
    with pytest.raises(RefusedError, match="too many"):
        v2.split_bytes(raw)
    assert time.process_time() - started < 0.5


def test_v2_inputs_are_pixels_or_files(served: Served) -> None:
    pixels = np.arange(2 * 16 * 16 * 3, dtype=np.uint8).reshape(2, 16, 16, 3)
    card = served.model.card
    for tensor in (
        v2.from_raw("images", "UINT8", pixels.shape, pixels.tobytes()),
        v2.from_json("images", "UINT8", pixels.shape, pixels.tolist()),
        v2.from_json("images", "UINT8", pixels.shape, pixels.ravel().tolist()),
    ):
        views = v2.as_sources([tensor], card)
        np.testing.assert_array_equal(
            [view.pixels for view in views if isinstance(view, PreparedPhoto)], pixels
        )
    for tensor in (
        v2.from_raw("encoded", "BYTES", (1,), b"\x02\x00\x00\x00ab"),
        v2.from_json("encoded", "BYTES", (1, 1), [["YWI="]]),
    ):
        assert v2.as_sources([tensor], card) == [RequestPhoto(b"ab")]


@pytest.mark.parametrize(
    ("name", "datatype", "shape", "raw"),
    [
        ("images", "UINT8", (1, 16, 16, 3), b"short"),
        ("images", "UINT8", (-1, 16, 16, 3), b""),
        ("images", "UINT8", (1, 8, 8, 3), b"\x00" * 192),
        ("images", "UINT8", (2**40, 2**40), b"\x00"),
        ("images", "FP32", (1,), b"\x00" * 4),
        ("encoded", "BYTES", (2,), b"\x01\x00\x00\x00a"),
        ("encoded", "BYTES", (65,), b"\x00\x00\x00\x00" * 65),
        ("other", "UINT8", (1, 16, 16, 3), b"\x00" * 768),
    ],
)
def test_a_v2_input_that_is_neither_is_refused(
    served: Served, name: str, datatype: str, shape: tuple[int, ...], raw: bytes
) -> None:
    with pytest.raises(RefusedError) as refused:
        v2.as_sources([v2.from_raw(name, datatype, shape, raw)], served.model.card)
    assert refused.value.kind.http == 400


def test_pixels_of_another_type_are_told_which_inputs_there_are() -> None:
    with pytest.raises(RefusedError, match=r"'images' \(UINT8\).*not 'images' \(FP32\)"):
        v2.from_json("images", "FP32", (1,), [0.5])


@pytest.mark.parametrize("data", [["x"], [256], [-1], [0.5], [[1], [1, 2]], "x", None, [None]])
def test_numbers_in_json_that_are_no_bytes_are_refused(data: Any) -> None:
    with pytest.raises(RefusedError, match="0 to 255"):
        v2.from_json("images", "UINT8", (1,), data)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.float32, np.float64])
def test_pixels_of_any_number_type_are_the_same_photo(served: Served, dtype: Any) -> None:
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    sent = (pixels / 255).astype(dtype) if np.dtype(dtype).kind == "f" else pixels.astype(dtype)
    (view,) = pixels_as_sources(sent, served.model.card)
    assert isinstance(view, PreparedPhoto)
    np.testing.assert_array_equal(view.pixels, pixels[0])


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, np.inf, 255.0])
def test_floats_that_are_no_share_of_255_are_refused(served: Served, value: float) -> None:
    with pytest.raises(RefusedError, match="from 0 to 1"):
        pixels_as_sources(np.full((1, 16, 16, 3), value, np.float32), served.model.card)


@pytest.mark.parametrize(
    ("dtype", "field"), [(1, "float_val"), (3, "int_val"), (4, "int_val"), (9, "int64_val")]
)
@pytest.mark.parametrize("packed", [True, False])
def test_tensorflow_tensors_are_read_from_either_place(
    served: Served, dtype: int, field: str, packed: bool
) -> None:
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    values = pixels / 255 if dtype == 1 else pixels.astype(np.int64)
    tensor = protos.message(protos.TF, "TensorProto")(dtype=dtype)
    for side in pixels.shape:
        tensor.tensor_shape.dim.add(size=side)
    if packed:
        kinds = {1: "<f4", 3: "<i4", 4: "u1", 9: "<i8"}
        tensor.tensor_content = values.astype(kinds[dtype]).tobytes()
    else:
        getattr(tensor, field).extend(values.ravel().tolist())
    (view,) = tf.from_tensor(tensor, served)
    assert isinstance(view, PreparedPhoto)
    np.testing.assert_array_equal(view.pixels, pixels[0])


def tf_tensor(values: Any, dtype: int = 1, **given: Any) -> Any:
    """A TensorProto: the values as `tensor_content`, or what is given in their place."""
    content = {} if given else {"tensor_content": values.tobytes()}
    tensor = protos.message(protos.TF, "TensorProto")(dtype=dtype, **content, **given)
    for side in values.shape:
        tensor.tensor_shape.dim.add(size=side)
    return tensor


@pytest.mark.parametrize("said", ["0-1", "0-255"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_of_either_range_are_the_same_photo(served: Served, said: str, dtype: Any) -> None:
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    signature = TfSignature(range=said)  # type: ignore[arg-type]
    sent = (pixels / (255 / signature.most)).astype(dtype)
    (view,) = tf.from_tensor(tf_tensor(sent, 1 if dtype is np.float32 else 2), served, signature)
    assert isinstance(view, PreparedPhoto)
    np.testing.assert_array_equal(view.pixels, pixels[0])


def test_a_float_becomes_the_nearest_value_of_a_pixel_and_a_half_the_even_one(served: Served) -> None:
    sent = np.resize(np.array([0.5, 1.5, 2.4, 254.6], np.float32), (1, 16, 16, 3))
    (view,) = tf.from_tensor(tf_tensor(sent), served, TfSignature(range="0-255"))
    assert isinstance(view, PreparedPhoto)
    assert view.pixels is not None
    assert view.pixels.ravel()[:4].tolist() == [0, 2, 2, 255]


@pytest.mark.parametrize("value", [-0.1, 255.1, np.nan, np.inf, -np.inf])
def test_floats_outside_the_range_are_refused_with_what_they_reach(served: Served, value: float) -> None:
    sent = np.ones((1, 16, 16, 3), np.float32)
    sent[0, 3, 4, 1] = value
    said = rf"these reach .*{np.float32(value)}" if np.isfinite(value) else "some of these are not finite"
    with pytest.raises(RefusedError, match=f"numbers from 0 to 255; {said}"):
        tf.from_tensor(tf_tensor(sent), served, TfSignature(range="0-255"))
    with pytest.raises(RefusedError, match="from 0 to 255"):
        tf.from_tensor(tf_tensor(sent.astype("<f8") * 1e300, 2), served, TfSignature(range="0-255"))


def test_the_last_number_of_a_list_stands_for_those_left_out(served: Served) -> None:
    """As TensorFlow shortens and reads tensors."""
    shape = np.empty((2, 16, 16, 3), np.float32)
    views = tf.from_tensor(tf_tensor(shape, float_val=[3, 7]), served, TfSignature(range="0-255"))
    pixels = np.stack([view.pixels for view in views if isinstance(view, PreparedPhoto)])
    assert pixels.ravel()[:3].tolist() == [3, 7, 7]
    assert (pixels.ravel()[1:] == 7).all()
    too_many = tf_tensor(np.empty((1, 16, 16, 3)), float_val=[1])
    too_many.tensor_shape.dim[0].size = 2**40
    for tensor in (too_many, tf_tensor(shape, float_val=[]), tf_tensor(shape, float_val=[0] * 2000)):
        with pytest.raises(RefusedError):
            tf.from_tensor(tensor, served)


def test_an_input_is_called_as_clients_were_said_to_call_it() -> None:
    assert tf.only_input({"conv2d_input": 1}, TfSignature()) == 1
    named = TfSignature(input="input_layer_11")
    for name in ("input_layer_11", "images", "encoded"):
        assert tf.only_input({name: 1}, named) == 1
    with pytest.raises(RefusedError, match="no input 'input_layer', only input_layer_11, images, encoded"):
        tf.only_input({"input_layer": 1}, named)


def test_the_default_signature_has_the_clients_names_and_another_the_networks(served: Served) -> None:
    found = tf.signature_map(served, TfSignature("input_layer_11", "output_0", "0-255")).signature_def
    for name, taken, dtype, answered in (
        ("serving_default", "input_layer_11", 1, "output_0"),
        ("encoded", "encoded", 7, "output_0"),
        ("all_outputs", "images", 4, "probabilities"),
    ):
        assert {one: info.dtype for one, info in found[name].inputs.items()} == {taken: dtype}
        assert list(found[name].outputs) == [answered]
    plain = tf.signature_map(served, TfSignature()).signature_def["serving_default"]
    assert {one: info.dtype for one, info in plain.inputs.items()} == {"images": 4}


def test_an_answer_is_called_as_the_request_has_it() -> None:
    signature = TfSignature(output="output_0")
    assert tf.answered_outputs([], signature) == ["output_0"]
    assert tf.answered_outputs(["probabilities", "output_0"], signature) == ["probabilities", "output_0"]
    with pytest.raises(RefusedError, match="'output_0', not 'logits'"):
        tf.answered_outputs(["logits"], signature)


def test_a_tensorflow_tensor_of_another_type_or_shape_is_refused(served: Served) -> None:
    make = protos.message(protos.TF, "TensorProto")
    for tensor in (make(dtype=10, bool_val=[True]), make(dtype=1, tensor_content=b"abc"), make(dtype=4)):
        with pytest.raises(RefusedError):
            tf.from_tensor(tensor, served)


def test_the_descriptors_are_those_of_the_proto_files(tmp_path: Any) -> None:
    import importlib.util
    from importlib import resources
    from pathlib import Path

    script = Path(__file__).parents[3] / "scripts/compile_protos.py"
    spec = importlib.util.spec_from_file_location("compile_protos", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.compile_protos(tmp_path / "now.binpb")
    kept = (resources.files("trapline.serving.protos") / "protos.binpb").read_bytes()
    assert (tmp_path / "now.binpb").read_bytes() == kept


def test_every_kind_of_refusal_has_a_status_in_http_and_grpc() -> None:
    from http import HTTPStatus

    import grpc

    from trapline.serving import refusals

    kinds = [one for one in vars(refusals).values() if isinstance(one, refusals.RefusalKind)]
    assert len(kinds) > 10
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert HTTPStatus(kind.http) >= 400
        assert grpc.StatusCode[kind.grpc] is not grpc.StatusCode.OK
