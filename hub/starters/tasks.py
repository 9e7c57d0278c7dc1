"""The tasks that there are pages for, and which of them a repository of the Hub is for."""

from __future__ import annotations

from dataclasses import dataclass

from hub.errors import UnavailableError
from hub.texts import sentence
from hub.weights import repository
from hub.weights.repository import Repository

DRAWING, FILLING = "text_to_image", "inpainting"  # the starters of pipelines


@dataclass(frozen=True, slots=True)
class Task:
    """A task that there is a page for."""

    tag: str  # the Hub's pipeline tag
    starter: str  # the page to begin from, a module beside this one
    ends: tuple[str, ...]  # how the names of its architectures end
    lists: tuple[str, ...]  # where transformers lists the kinds of models that it has for the task
    example: str = "picture"  # the input that a card's example is for
    kinds: tuple[str, ...] = ()  # which of them the page can ask; empty: all
    asks: str = ""  # the input that the labels of a card's example are for
    must_ask: bool = False  # an example without them is none


# Networks whose class for sounds is called as those for texts are.
HEARING = (
    *("Data2VecAudio", "Hubert", "SEW", "SEWD", "UniSpeech", "UniSpeechSat", "Wav2Vec2", "Wav2Vec2Bert"),
    *("Wav2Vec2Conformer", "WavLM"),
)
TASKS = (
    Task("image-classification", "image_classification", ("ForImageClassification",), ("IMAGE_CLASSIFICATION",)),
    Task("object-detection", "object_detection", ("ForObjectDetection",), ("OBJECT_DETECTION",)),
    Task(
        "zero-shot-object-detection",
        "zero_shot_object_detection",
        ("Owlv2ForObjectDetection", "OwlViTForObjectDetection"),
        ("ZERO_SHOT_OBJECT_DETECTION",),
        kinds=("owlv2", "owlvit"),
        asks="names",
    ),
    Task(
        "image-segmentation",
        "image_segmentation",
        ("ForSemanticSegmentation", "ForUniversalSegmentation", "ForInstanceSegmentation"),
        ("SEMANTIC_SEGMENTATION", "UNIVERSAL_SEGMENTATION"),
    ),
    Task("depth-estimation", "depth_estimation", ("ForDepthEstimation",), ("DEPTH_ESTIMATION",)),
    Task(
        "image-to-text",
        "image_to_text",
        ("BlipForConditionalGeneration", "GitForCausalLM", "VisionEncoderDecoderModel"),
        ("IMAGE_TEXT_TO_TEXT",),
        kinds=("blip", "git", "vision-encoder-decoder"),  # others answer a question, or write as people chat
    ),
    Task(
        "image-feature-extraction",
        "image_feature_extraction",
        ("Model",),
        ("IMAGE",),
        kinds=(
            *("beit", "convnext", "convnextv2", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "regnet"),
            *("resnet", "siglip_vision_model", "swin", "swinv2", "vit"),
        ),
    ),
    Task(
        "visual-question-answering",
        "visual_question_answering",
        ("ForQuestionAnswering",),
        ("VISUAL_QUESTION_ANSWERING",),
        kinds=("blip", "vilt"),
        asks="question",
        must_ask=True,
    ),
    Task(
        "text-classification",
        "text_classification",
        ("ForSequenceClassification",),
        ("SEQUENCE_CLASSIFICATION",),
        "text",
    ),
    Task("text-to-image", "text_to_image", (), (), "prompt"),
    Task("image-to-image", "text_to_image", (), (), "prompt"),
    Task("image-to-image", "inpainting", (), (), ""),  # a card's example says nothing of where to paint
    Task("text-generation", "text_generation", ("ForCausalLM", "LMHeadModel"), ("CAUSAL_LM",), "text"),
    Task(
        "automatic-speech-recognition",
        "automatic_speech_recognition",
        ("WhisperForConditionalGeneration",),
        ("SPEECH_SEQ_2_SEQ",),
        "sound",
        kinds=("whisper",),
    ),
    Task(
        "automatic-speech-recognition",
        "speech_by_letters",
        ("ForCTC",),
        ("CTC",),
        "sound",
        kinds=(
            *("data2vec-audio", "hubert", "sew", "sew-d", "unispeech", "unispeech-sat", "wav2vec2"),
            *("wav2vec2-conformer", "wavlm"),
        ),
    ),
    Task(
        "audio-classification",
        "audio_classification",
        ("ForAudioClassification", *[f"{kind}ForSequenceClassification" for kind in HEARING]),
        ("AUDIO_CLASSIFICATION",),
        "sound",
    ),
)


def task_of(read: Repository) -> Task:
    """The task by the repository's tag, else by its architecture. Raises UnavailableError with those there are."""
    stated = read.config.get("architectures")
    names = [one for one in stated if isinstance(one, str)] if isinstance(stated, list) else []
    matches = [(len(end), task) for task in TASKS for end in task.ends for name in names if name.endswith(end)]
    by_name = max(matches, key=lambda match: match[0])[1] if matches else None  # Owlv2ForObjectDetection is no DETR
    tagged = [task for task in TASKS if task.tag == read.task]
    by_tag = by_name if by_name in tagged else next(iter(tagged), None)
    if by_tag is None and by_name is None and "architecture" in read.config:
        by_name = TASKS[0]  # timm names no class
    task = by_tag or by_name
    if repository.PIPELINE in read.config:
        task = task if task is not None and task.starter == DRAWING else _task(DRAWING)
        task = _task(FILLING) if _pipeline_of(read) in _pipelines(FILLING) - _pipelines(DRAWING) else task
    if task is None:
        raise UnavailableError(
            "There is no page for the task of {what} ({task}). There are pages for {known}. Another task: write its "
            "page with `demo-hub new NAME`.",
            what=read.name,
            task=read.task or ", ".join(names)[:120] or sentence("it names none"),
            known=", ".join(dict.fromkeys(one.tag for one in TASKS)),
        )
    _check_kind(read, task)
    return task


def _check_kind(read: Repository, task: Task) -> None:
    """Refuses what no library that is installed has a network for, or what the page cannot ask."""
    if task is TASKS[0] and "architecture" in read.config:
        return
    if task.starter in (DRAWING, FILLING):
        _check_pipeline(read, task)
        return
    from transformers.models.auto import modeling_auto

    kind = str(read.config.get("model_type") or "")[:60]
    known = {name for one in task.lists for name in getattr(modeling_auto, f"MODEL_FOR_{one}_MAPPING_NAMES")}
    if kind not in known:
        raise UnavailableError(
            "transformers has no network of the kind {kind!r} for {task}, so {what} cannot be run here without its own "
            "code.",
            kind=kind,
            task=task.tag,
            what=read.name,
        )
    if task.kinds and kind not in task.kinds:
        raise UnavailableError(
            "{what} is of the kind {kind!r}; the page for {task} can ask {known} alone.",
            what=read.name,
            kind=kind,
            task=task.tag,
            known=", ".join(task.kinds),
        )


def _check_pipeline(read: Repository, task: Task) -> None:
    """Refuses what diffusers' AutoPipeline does not know."""
    kind = _pipeline_of(read)
    if kind not in _pipelines(task.starter):
        raise UnavailableError(
            "diffusers has no pipeline of the kind {kind!r} for {task}, so {what} cannot be run here without its own "
            "code.",
            kind=kind,
            task=task.tag,
            what=read.name,
        )


def _pipeline_of(read: Repository) -> str:
    index = read.config.get(repository.PIPELINE)
    return str((index.get("_class_name") if isinstance(index, dict) else None) or "")[:60]


def _pipelines(starter: str) -> set[str]:
    """The classes that AutoPipeline knows for what this starter does."""
    from diffusers.pipelines import auto_pipeline

    drawing = (auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING, auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING)
    known = drawing if starter == DRAWING else (auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING,)
    return {one.__name__ for mapping in known for one in mapping.values()}


def _task(starter: str) -> Task:
    return next(task for task in TASKS if task.starter == starter)
