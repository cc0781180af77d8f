"""Transformers and LSTMs in plain PyTorch, with the published names: what ours are compared with."""

import torch
from torch import nn


class CLIPVision(nn.Module):
    """OpenAI's: all tokens after the last block, and the projected class token."""

    def __init__(self, image_size, patch, token_width, heads, layers, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, token_width, patch, patch, bias=False)
        self.class_embedding = _normal(token_width)
        self.positional_embedding = _normal(1 + (image_size // patch) ** 2, token_width)
        self.ln_pre, self.ln_post = nn.LayerNorm(token_width), nn.LayerNorm(token_width)
        self.transformer = _Transformer(token_width, heads, layers)
        self.proj = _normal(token_width, width)

    def forward(self, x):
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        x = self.transformer(self.ln_pre(x))
        return x, self.ln_post(x[:, 0]) @ self.proj


class CLIPText(nn.Module):
    """OpenAI's: the projected token of the largest id."""

    def __init__(self, vocabulary, context, token_width, heads, layers, width):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, token_width)
        self.positional_embedding = _normal(context, token_width)
        self.transformer = _Transformer(token_width, heads, layers)
        self.ln_final = nn.LayerNorm(token_width)
        self.text_projection = _normal(token_width, width)

    def forward(self, ids):
        length = ids.shape[1]
        x = self.token_embedding(ids) + self.positional_embedding[:length]
        x = self.ln_final(self.transformer(x, torch.full((length, length), -torch.inf).triu(1)))
        return x[torch.arange(len(x)), ids.argmax(1)] @ self.text_projection


class _Transformer(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.resblocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))

    def forward(self, x, mask=None):
        for block in self.resblocks:
            x = block(x, mask)
        return x


class _Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x, mask):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        y = self.mlp.c_fc(self.ln_2(x))
        return x + self.mlp.c_proj(y * (1.702 * y).sigmoid())


class TIRGText(nn.Module):
    """The state of an LSTM at the last of `lengths` words, through a dense layer."""

    def __init__(self, vocabulary, width):
        super().__init__()
        self.embedding_layer = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.fc_output = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, width))

    def forward(self, ids, lengths):
        states, _ = self.lstm(self.embedding_layer(ids))
        return states, self.fc_output(states[torch.arange(len(ids)), lengths - 1])


class VALText(nn.Module):
    """The maximum over an LSTM's first `lengths` states, from trained initial ones, through a normalised projection."""

    def __init__(self, vocabulary, width, word_width, state_width):
        super().__init__()
        self.words = nn.Embedding(vocabulary, word_width)
        self.lstm = nn.LSTM(word_width, state_width, batch_first=True)
        self.initial_state, self.initial_memory = _normal(state_width), _normal(state_width)
        self.dense, self.norm = nn.Linear(state_width, width, bias=False), nn.BatchNorm1d(width)

    def forward(self, ids, lengths):
        start = tuple(each.expand(1, len(ids), -1).contiguous() for each in (self.initial_state, self.initial_memory))
        states, _ = self.lstm(self.words(ids), start)
        is_word = torch.arange(ids.shape[1])[:, None] < lengths[:, None, None]
        return states, self.norm(self.dense(states.masked_fill(~is_word, -torch.inf).amax(1)))


def _normal(*shape):
    return nn.Parameter(0.1 * torch.randn(*shape))
