"""Making a small encoder of a large one: fewer layers, a smaller vocabulary."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import cast

import torch
import transformers
from tokenizers import Tokenizer
from torch import nn

from stance.models.transformer.encoders import layer_stack
from stance.schema import StanceError


def thin(encoder: transformers.PreTrainedModel, layers: int) -> None:
    """Keep the lowest layers of an encoder, which Sajjad et al. (2023) found to be the ones to keep.

    Raises:
        StanceError: if the encoder has fewer.
    """
    module, name = layer_stack(encoder)
    stack = getattr(module, name)
    if layers > len(stack):
        raise StanceError(f"model.layers={layers}: the encoder has {len(stack)} layers")
    setattr(module, name, stack[:layers])
    encoder.config.num_hidden_layers = layers


def prune_vocabulary(
    encoder: transformers.PreTrainedModel, tokenizer: Tokenizer, size: int, texts: Iterable[str]
) -> Tokenizer:
    """Drop the tokens of an English WordPiece vocabulary that English news does without.

    Kept are the special tokens, those of `texts`, single Latin letters, digits and punctuation marks, so that any word
    can still be spelt; then the most frequent, as WordPiece vocabularies list them first.

    Args:
        encoder: its embeddings are cut down in place.
        tokenizer: its tokenizer.
        size: how many tokens to keep.
        texts: the training sentences.

    Returns:
        The smaller tokenizer.

    Raises:
        StanceError: if it is no WordPiece tokenizer, or what must be kept is more than `size`.
    """
    description = json.loads(tokenizer.to_str())
    if description["model"]["type"] != "WordPiece":
        raise StanceError(f"model.vocabulary={size}: only WordPiece vocabularies can be cut; leave it out")
    ids: dict[str, int] = description["model"]["vocab"]
    special = {token["content"] for token in description["added_tokens"]} | {description["model"]["unk_token"]}
    tokenizer.no_padding()
    tokenizer.no_truncation()
    used = {number for e in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False) for number in e.ids}
    spelling = {t for t in ids if len(t.removeprefix("##")) == 1 and _is_latin(t)}
    must = {t for t, number in ids.items() if number in used or t in special} | spelling
    if len(must) > size:
        raise StanceError(f"model.vocabulary={size}: the training data alone use {len(must)} tokens")
    rest = [t for t in sorted(ids, key=ids.__getitem__) if t not in must and _is_latin(t) and "[unused" not in t]
    kept = sorted(must | set(rest[: size - len(must)]), key=ids.__getitem__)
    new_id = {token: i for i, token in enumerate(kept)}
    embeddings = cast(nn.Embedding, encoder.get_input_embeddings())
    smaller = nn.Embedding(len(kept), embeddings.embedding_dim)
    smaller.weight.data = embeddings.weight.data[torch.tensor([ids[token] for token in kept])]
    encoder.set_input_embeddings(smaller)
    encoder.config.vocab_size = len(kept)

    description["model"]["vocab"] = new_id
    for token in description["added_tokens"]:
        token["id"] = new_id[token["content"]]
    processor = description["post_processor"]
    for token in processor.get("special_tokens", {}).values():  # TemplateProcessing
        token["ids"] = [new_id[t] for t in token["tokens"]]
    for role in ("cls", "sep"):  # BertProcessing, RobertaProcessing
        if role in processor:
            processor[role] = [processor[role][0], new_id[processor[role][0]]]
    return Tokenizer.from_str(json.dumps(description))


def _is_latin(token: str) -> bool:
    return all(
        character.isascii() or unicodedata.category(character)[0] in "PS" or "LATIN" in unicodedata.name(character, "")
        for character in token
    )
