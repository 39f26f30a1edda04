"""A tool that a model calls: its name and its arguments in a block. Nothing executes it."""

from app.chat.code import CodeBlock
from app.conversations.conversation import ToolCall
from app.widgets.language import tr


def call_block(call: ToolCall) -> CodeBlock:
    """The block of a call; of one without a name, what the model wrote."""
    if not call.name:
        block = written_block()
        block.append(call.arguments)
        block.close_block()
        return block
    block = CodeBlock("json", tr("Tool call: {0} (not run)").format(call.name))
    block.append(call.arguments)
    block.close_block()
    return block


def written_block() -> CodeBlock:
    """The block of a call that is being written."""
    return CodeBlock("", tr("Tool call (not run)"))
