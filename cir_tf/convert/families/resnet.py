"""ResNet-18 and -50 of torchvision."""

from cir_tf.convert.base import Family, count

NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def rules(prefix):
    """Of tensors whose names begin with an expression."""
    block, ours = prefix + r"layer(\d)\.(\d+)\.", r"stage_\1_block_\2/"
    found = [
        (prefix + r"conv1\.weight", "stem_conv/kernel", "conv"),
        (block + r"conv(\d)\.weight", ours + r"conv_\3/kernel", "conv"),
        (block + r"downsample\.0\.weight", ours + "shortcut_conv/kernel", "conv"),
    ]
    for theirs, name in NORM.items():
        found.append((prefix + rf"bn1\.{theirs}", f"stem_norm/{name}", "same"))
        found.append((block + rf"bn(\d)\.{theirs}", ours + rf"norm_\3/{name}", "same"))
        found.append((block + rf"downsample\.1\.{theirs}", ours + f"shortcut_norm/{name}", "same"))
    return tuple(found)


def encoder(prefix):
    """How a config makes the encoder of a state, in which its tensors' names begin with a prefix."""

    def arguments(state):
        plain = {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
        return {
            "name": "image_resnet",
            "variant": "resnet50" if "layer1.0.conv3.weight" in plain else "resnet18",
            "stem_width": plain["conv1.weight"].shape[0],
            "blocks": tuple(count(plain, rf"layer{stage}\.(\d+)\..*") for stage in (1, 2, 3, 4)),
        }

    return arguments


FAMILY = Family(
    name="resnet",
    about="torchvision, ResNet-18 to -152",
    detect=(r"conv1\.weight", r"bn1\.running_mean", r"layer4\.0\.conv1\.weight"),
    part=encoder(""),
    rules=rules(""),
    unused=(r"fc\..*", r".*\.num_batches_tracked"),
)
