"""BLIP-2 with random weights, in LAVIS's layout, against transformers and PyTorch: needs the `convert` extra."""

import re

import numpy as np
import pytest

from cir_tf import weights
from cir_tf.convert import apply, readers
from cir_tf.convert.families import blip2
from cir_tf.encoders.image_blip2_vit import VARIANTS
from cir_tf.qformer import QFormer

torch = pytest.importorskip("torch", reason="the convert extra is not installed")
transformers = pytest.importorskip("transformers", reason="the convert extra is not installed")
from scripts.benchmarks._torch_transformers import CLIPVision  # noqa: E402
from tests.convert.reference import check, converted, pictures, shaken, texts  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
TINY = (
    {"hidden_size": 176, "num_attention_heads": 2, "intermediate_size": 40, "image_size": 28, "num_hidden_layers": 2},
    {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 50, "num_hidden_layers": 3, "vocab_size": 40},
)
FULL = (  # all but the depth of the vision tower, which alone would take 4 GB
    {"hidden_size": 1408, "num_attention_heads": 16, "intermediate_size": 6144, "num_hidden_layers": 3},
    {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30523},
)
LAVIS = {
    r"vision_model\.post_layernorm": "ln_vision",
    r"vision_model\.encoder\.layers": "visual_encoder.blocks",
    r"vision_model\.embeddings\.class_embedding": "visual_encoder.cls_token",
    r"vision_model\.embeddings\.position_embedding": "visual_encoder.pos_embed",
    r"vision_model\.embeddings\.patch_embedding": "visual_encoder.patch_embed.proj",
    r"self_attn\.projection": "attn.proj",
    r"self_attn": "attn",
    r"layer_norm(\d)": r"norm\1",
    r"qformer\.layernorm": "Qformer.bert.embeddings.LayerNorm",
    r"qformer\.encoder": "Qformer.bert.encoder",
    r"attention\.attention\.": "attention.self.",
    r"^embeddings\.": "Qformer.bert.embeddings.",
    r"(vision|text)_projection": r"\1_proj",
}


def as_lavis(state):
    """transformers' names to LAVIS's, where keys have no bias and queries and values have separate ones."""
    renamed = {}
    for name, tensor in state.items():
        for theirs, lavis in LAVIS.items():
            name = re.sub(theirs, lavis, name)
        if name.endswith("qkv.bias"):
            query, key, value = tensor.chunk(3)
            assert not key.any()
            renamed |= {name.replace("qkv.bias", "q_bias"): query, name.replace("qkv.bias", "v_bias"): value}
        else:
            renamed[name] = tensor
    return renamed


def eva_and_qformer(vision, qformer):
    """transformers' model with the epsilon of LAVIS's last norm."""
    torch.manual_seed(1)
    start = 1.2 * qformer["hidden_size"] ** -0.5  # with more, attention sees one token only, and magnifies rounding
    language = {"model_type": "opt", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "ffn_dim": 8}
    config = transformers.Blip2Config(
        vision_config=vision | {"patch_size": 14, "initializer_range": 0.05},
        qformer_config=qformer
        | {"encoder_hidden_size": vision["hidden_size"], "use_qformer_text_input": True, "initializer_range": start},
        text_config=language | {"vocab_size": 9, "word_embed_proj_dim": 8},
        num_query_tokens=32,
    )
    model = transformers.Blip2ForImageTextRetrieval(config)
    model.vision_model.post_layernorm.eps = 1e-5
    shaken(model)
    with torch.no_grad():
        model.query_tokens.normal_()
        for name, parameter in model.named_parameters():
            if name.endswith("qkv.bias"):
                parameter.chunk(3)[1].zero_()
    return model


@pytest.mark.parametrize(
    "sizes", [pytest.param(TINY, id="tiny"), pytest.param(FULL, id="full", marks=pytest.mark.slow)]
)
def test_tower_and_three_modes_equal_those_of_transformers(tmp_path, sizes):
    model = eva_and_qformer(*sizes)
    file = tmp_path / "blip2.pth"
    torch.save({"model": as_lavis(model.state_dict())}, file)
    pixels_BHWC, pixels_BCHW = pictures(sizes[0].get("image_size", 224))
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (mean, deviation))
    ids_BL = texts(sizes[1]["vocab_size"], 9, (9, 5))
    ids, mask = torch.tensor(np.maximum(ids_BL, 0), dtype=torch.long), torch.tensor(ids_BL >= 0, dtype=torch.long)
    queries = model.query_tokens.expand(2, -1, -1)
    both = torch.cat([torch.ones(2, 32, dtype=torch.long), mask], dim=1)
    with torch.no_grad():
        image = model.vision_model((pixels_BCHW / 255 - mean) / deviation).last_hidden_state
        words, joined = model.embeddings(input_ids=ids), model.embeddings(input_ids=ids, query_embeds=queries)
        image_mode = model.qformer(query_embeds=queries, encoder_hidden_states=image)[0]
        text_mode = model.qformer(query_embeds=words, query_length=0, attention_mask=mask)[0]
        multimodal = model.qformer(
            query_embeds=joined, query_length=32, attention_mask=both, encoder_hidden_states=image
        )[0]
    check("EVA", converted(file, family="blip2_vit")(pixels_BHWC).tokens_BLE, image)
    check("image mode, with its tower", converted(file, family="blip2_image")(pixels_BHWC).tokens_BLE, image_mode)
    is_word = mask.bool()
    text_BLE = converted(file, family="blip2_text")(ids_BL).tokens_BLE
    check("text mode, as an encoder", text_BLE.numpy()[is_word.numpy()], text_mode[is_word])

    family, state = blip2.LAYERS["qformer"], readers.read(file)["model"]
    qformer = QFormer(sizes[0]["hidden_size"], **{**family.part(state), "vocabulary_size": sizes[1]["vocab_size"]})
    qformer.build()
    weights.assign(qformer, apply(family, state))
    check("image mode", qformer(image.numpy())[0], image_mode)
    check("text mode", qformer(ids_BL=ids_BL)[1].numpy()[is_word.numpy()], text_mode[is_word])
    query_BQE, text_BLE = qformer(image.numpy(), ids_BL)
    check("multimodal, queries", query_BQE, multimodal[:, :32])
    check("multimodal, text", text_BLE.numpy()[is_word.numpy()], multimodal[:, 32:][is_word])


VIT_L = {name: VARIANTS["vit_l"][name] for name in ("heads", "layers", "patch")} | {"token_width": 1024}
SMALL = {"heads": 2, "layers": 2, "patch": 14, "token_width": 128}


@pytest.mark.parametrize(
    ("sizes", "side"),
    [pytest.param(SMALL, 28, id="tiny"), pytest.param(VIT_L, 224, id="vit_l", marks=pytest.mark.slow)],
)
def test_clips_tower_equals_pytorchs(tmp_path, sizes, side):
    torch.manual_seed(1)
    model = shaken(CLIPVision(image_size=side, width=4, **sizes))
    norm = shaken(torch.nn.LayerNorm(sizes["token_width"]))
    state = {f"visual_encoder.{name}": tensor for name, tensor in model.state_dict().items()}
    state = {name: tensor for name, tensor in state.items() if "ln_post" not in name and ".proj" not in name[-5:]}
    state |= {f"ln_vision.{name}": tensor for name, tensor in norm.state_dict().items()}
    torch.save({"model": state}, tmp_path / "blip2.pth")
    pixels_BHWC, pixels_BCHW = pictures(side)
    pixels_BHWC, pixels_BCHW = (each / 127.5 - 1 for each in (pixels_BHWC, pixels_BCHW))
    with torch.no_grad():
        expected = norm(model(pixels_BCHW)[0])
    check("ViT-L", converted(tmp_path / "blip2.pth").features(pixels_BHWC).tokens_BLE, expected)
