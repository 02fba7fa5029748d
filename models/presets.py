"""Named sizes of the networks: keyword arguments of their constructors."""

_GEOMETRY = {"has_warp_head": True}
_TONE = {"has_tone_head": True}

PRESETS: dict[str, dict[str, dict]] = {
    # The shipped default: quick on a CPU.
    "tiny": {
        "router": {},
        "expert": {},
        "geometric_expert": _GEOMETRY,
        "tonal_expert": _TONE | {"coarse_channels": (48, 64, 96, 128)},
        "shared": {},
        "merger": {},
        "native_router": {
            "tone_width": 32,
            "spectral_width": 48,
            "parts_width": 128,
            "mirrored": True,
        },
        "flow_expert": {},
        "tone_expert": {},
        "texture_expert": {},
        "retoucher": {},
        "healer": {},
        "critic": {},
    },
    # The paper's sizes: ResNet-50 estimators, U-Nets of the published code, ResNet-MAM.
    "base": {
        "router": {
            "embedding_size": 32,
            "hidden_sizes": (128, 256, 512, 1024),
            "depths": (3, 4, 6, 3),
            "layer_type": "bottleneck",
            "group_tokens": 256,
            "token_width": 1024,
            "token_side": 64,
            "group_heads": 8,
            "heads": 16,
            "layers": 2,
        },
        "expert": {
            "denoiser_channels": (64, 128, 192, 256),
            "denoiser_layers": 2,
            "coarse_channels": (64, 128, 192, 256),
            "idem_width": 32,
            "hfcam_width": 136,
            "hfcam_heads": 4,
            "degree_resnet": {
                "embedding_size": 64,
                "hidden_sizes": [256, 512, 1024, 2048],
                "depths": [3, 4, 6, 3],
                "layer_type": "bottleneck",
            },
        },
        "shared": {"channels": (64, 128, 192, 256), "layers": 2},
        "merger": {"channels": (64, 128, 256, 512, 1024), "reduction": 4},
        # Not in the paper; four to eight times the work of tiny's.
        "native_router": {
            "tone_width": 64,
            "spectral_width": 96,
            "parts_width": 256,
            "finder_width": 16,
            "mirrored": True,
            "stem_width": 96,
            "colour_width": 32,
            "hidden_sizes": (96, 160, 256),
            "depths": (2, 2, 2),
            "token_width": 192,
            "heads": 8,
            "layers": 2,
        },
        "flow_expert": {"widths": (64, 128, 192), "fine": 32},
        "tone_expert": {"widths": (64, 128, 192), "fine": 32},
        "texture_expert": {"width": 48, "context_width": 64},
        # BPFRe at 512 px; the slides give no widths.
        "retoucher": {
            "channels": (64, 128, 256, 384, 512, 512),
            "attention_width": 64,
            "style_width": 512,
        },
        "healer": {"channels": (48, 96, 160), "context": 16, "width": 48},
        "critic": {"channels": (64, 128, 256, 512)},
    },
}
for _preset in PRESETS.values():
    _preset["inpainter"] = _preset["retoucher"] | {"inpainting": True}
_NOISE = {"prediction_type": "epsilon"}
for _name, _sizes in (("paper", "base"), ("paper_tiny", "tiny")):
    # The paper's setting at those sizes: experts predict the noise in the absolute low band, 200
    # timesteps, ten steps; nothing goes before them, neither a flow nor a correction of tone.
    _experts = ("expert", "geometric_expert", "tonal_expert")
    PRESETS[_name] = PRESETS[_sizes] | {
        **dict.fromkeys(_experts, PRESETS[_sizes]["expert"] | _NOISE),
        "shared": PRESETS[_sizes]["shared"] | _NOISE,
    }
PRESETS["base"]["geometric_expert"] = PRESETS["base"]["expert"] | _GEOMETRY
PRESETS["base"]["tonal_expert"] = PRESETS["base"]["expert"] | _TONE
