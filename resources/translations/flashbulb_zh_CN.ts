<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh_CN">
<context>
    <name></name>
    <message>
        <source>tok/s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>first token {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} from flash a token</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} hits</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the window did not fit the neuron pool</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>interrupted</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>cut off after %n token(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>cut off, the context is full</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} read, {1} of them kept from before; {2} written</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>First token</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Read for the prompt</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Selection</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>{0}, window of %n token(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Memory, at most</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A token</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Flash</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} in {1} reads a token</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Neurons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} active, {1} read, {2} in the pool</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hit rate</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The neuron pool was too small for a window of {0}: neurons had to leave it early. A larger memory budget or a shorter window helps.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Computing takes {0} of the time, waiting for flash {1}: more memory would hardly make it faster.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The time is spread: waiting for flash {0}, computing {1}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for flash {0} of the time.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All neurons are read for every token: predicted selection reads far less.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A larger window keeps more neurons in memory; with {0} more, nothing would be read any more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Most neurons are in memory already: a faster drive would help, more memory little.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>predicted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>exact</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>all neurons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0}, {1} loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>flash</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>memory management</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>computing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Answer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>About Flashbulb</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Chat with language models larger than memory, on this computer. The model&apos;s weights stay on flash; each token reads only the neurons that it needs, as described in “LLM in a flash” (arXiv 2312.11514). Nothing leaves this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Keyboard shortcuts</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send Message</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New Line in Message</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Something went wrong inside Flashbulb. The window goes on working; the details may help to report it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It was written by a newer Flashbulb (version {0}). Update Flashbulb.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It holds no conversations of Flashbulb ({0}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} cannot be written to ({1}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This conversation is not there any more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} was written by a newer Flashbulb (version {1}, this one knows {2}). Update Flashbulb to see your conversations.</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>The file of your conversations was damaged. %n of them could be read and are here; the damaged file is kept as {0}.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Another program holds {0}, the file of your conversations. Close it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The disk of {0} is full, so conversations cannot be saved. Make room.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0}, the file of your conversations, cannot be written to ({1}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0}, the file of your conversations, fails ({1}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>squared ReLU</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Starter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Resident</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Neuron pool</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predictors</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Workspace</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Memory that this application uses now, measured by the operating system. The bar shows what the model was planned to take of its memory budget.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>model {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>used by Flashbulb</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>model&apos;s share {0} of a budget of {1}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>model&apos;s share {0}, no budget set</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Bytes asked of the drive in each second of work: while the prompt is read and while tokens are made, computing time included. The dotted line is the highest half second of the last minute.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>last 60 s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} reads/s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>peak {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>nothing read in the last minute</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Compute</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Time a token</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How long each of the last 60 tokens took, the latest at the right: waiting for flash, keeping the neuron pool and the window in order, and everything else. The figures are means over these tokens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Active</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loaded</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>In pool</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The share of each layer&apos;s neurons that was active, layer by layer from top to bottom, for the last 60 tokens. Below, as shares of all neurons: active for a token, read from flash for it, held in the neuron pool. Hit rate: the share of active neurons that was in the pool already. Means over these tokens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>%n layer(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Live panel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy Values</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What a model is told before a conversation begins.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>0 takes the likeliest token; higher values vary more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Samples among the likeliest tokens that share this probability.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Samples among this many of the likeliest tokens; 0 for all.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Makes recent tokens less likely; 1 for no penalty.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Longest answer, in tokens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The same seed gives the same answer; None differs each time.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Conversation</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Answer</name>
    <message>
        <source>Reading your message…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show what this answer cost</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Answer again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Going on…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hide what this answer cost</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>AnswerBody</name>
    <message>
        <source>Answer</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ChatPane</name>
    <message>
        <source>Defaults</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>For conversations that have no values of their own, which are set beside the message field.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ChatView</name>
    <message>
        <source>No model is loaded</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model is loading</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The answer is being stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Flashbulb is closing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loading the model…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reload model</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>CodeBlock</name>
    <message>
        <source>Code, {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Code</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy code</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>code</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Composer</name>
    <message>
        <source>System prompt and sampling</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>An answer is being written</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Write a message first</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop (Esc)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send (Enter)</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ContextMeter</name>
    <message>
        <source>{0} of {1} tokens</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>, nearly full</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How much of the model&apos;s context this conversation takes. When it is full, the oldest messages are no longer given to the model; they stay in the conversation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Context: {0}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ConversationDelegate</name>
    <message>
        <source>Title</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ConversationList</name>
    <message>
        <source>Conversations</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ConversationsModel</name>
    <message>
        <source>Pinned</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>%n conversation(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Nothing found</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>, pinned</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Today</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Yesterday</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Last seven days</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Last thirty days</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Editor</name>
    <message>
        <source>Message to send again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Entry</name>
    <message>
        <source>Message</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>GeneralPane</name>
    <message>
        <source>Text size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of conversations. Light and dark follow the system.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>System</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Flashbulb speaks it when it is opened again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Language</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Jobs</name>
    <message>
        <source>It ended without saying why.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>JumpButton</name>
    <message>
        <source>Go to the latest message</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>LibraryWindow</name>
    <message>
        <source>Models</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Find, or paste the name or link of a Hub repository</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Find a model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} free in {1}. Drop the folder of a prepared model here to chat with it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete {0}?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Its files are removed from the disk. It can be downloaded again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Checking the files of {0}…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} is whole</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Every file has the checksum it was made with.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That did not work</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No model of this name. Paste owner/name to get one from the Hub.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>LinkQuestion</name>
    <message>
        <source>Link</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open this link?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Flashbulb does not open links of this kind.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy Link</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>&amp;New Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Import Chats…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Export Chat…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Export &amp;All Chats…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reload &amp;Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Models…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Settings…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Close Window</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Quit Flashbulb</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy &amp;Last Answer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy C&amp;hat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Write a Message</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Search All Chats</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Stop Answer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Answer &amp;Again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Edit Last Message</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>System &amp;Prompt and Sampling</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Rename Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>P&amp;in or Unpin Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Delete Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Undo Delete</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Sidebar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Live &amp;Panel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Larger Text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>S&amp;maller Text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Usual Text Size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Full Screen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Chat {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Keyboard Shortcuts</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check for &amp;Updates…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Third-Party &amp;Licences</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;About Flashbulb</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;File</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Edit</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Help</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Go to Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Undo</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Redo</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cu&amp;t</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Copy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Paste</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Select &amp;All</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Toolbar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Models</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hide the sidebar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show the sidebar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hide the live panel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show the live panel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>loading the model…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>no model is loaded</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} model, {1} in memory</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MemoryPane</name>
    <message>
        <source>Memory budget</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose for me: room for half of the FFN weights</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Window</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Neurons that any of the last tokens used stay in memory. A longer window reads less from flash, and needs a larger budget to have room.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predicted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Exact</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All neurons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Selection</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predictors guess which neurons a token needs. Exact selection computes it, from weights that stay in memory. All neurons: the reference, which reads everything for every token.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reader threads</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reads that are under way at the same time.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Takes effect when the model is loaded again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reload Now</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>{0}, the most for this machine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No model is loaded: its own smallest budget is not known.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0}, the smallest for {1}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0}, everything in memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Too small: {0} needs {1}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The neuron pool gets {0}: room for {1} of the neurons. All else takes {2}.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MessageWidget</name>
    <message>
        <source>Copy message</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ModelRow</name>
    <message>
        <source>Built in. Small talk, works offline.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Progress of {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pause {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>More about {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>FFN {0} sparse</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>about {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>size not known yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That did not work</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Runs in memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Streams from flash</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Too large</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>and shows streaming all the same</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>in about {0} of memory, as estimated</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>it would need about {0} of memory, as estimated</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>this Flashbulb does not know its architecture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>From the Hub</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>its size and kind are looked up first</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Try Again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Go On</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Get</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>paused at {0} of {1}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>waits for its turn</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>preparing: {0}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>asking the Hub…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} of {1}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show in Folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Verify Files</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open Page on the Hub</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete…</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ModelsPane</name>
    <message>
        <source>Models folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use the Usual One</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Also on an external drive. Models that are elsewhere stay there, and are found again when you choose their folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Access token</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Only for gated and private models</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is read from HF_TOKEN, from a login with “hf auth login”, or from the system&apos;s keychain, and never written anywhere.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Models Folder</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Notice</name>
    <message>
        <source>Details</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Details of the error</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ParametersForm</name>
    <message>
        <source>Temperature</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Top p</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Top k (0: all)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Repetition penalty</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Longest answer (tokens)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What the model is told before the conversation begins</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>System prompt</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Seed</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ParametersPanel</name>
    <message>
        <source>Use Defaults</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>For this conversation. Defaults are in Settings.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Question</name>
    <message>
        <source>You</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Edit and send again</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Settings</name>
    <message>
        <source>Settings cannot be written to {0} ({1}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} cannot be read ({1}): default settings are used.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The settings file was damaged. Default settings are used; the file is kept as {0}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} is damaged and cannot be put aside ({1}).</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SettingsWindow</name>
    <message>
        <source>General</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Models</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Memory &amp; Speed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Panes</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Sidebar</name>
    <message>
        <source>Search</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Search conversations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sidebar</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Unpin</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pin</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rename</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Export…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Storage</name>
    <message>
        <source>{0} cannot be read ({1}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} was not imported. {1}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Switcher</name>
    <message>
        <source>Previous version</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Next version</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Version {0} of {1}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Transcript</name>
    <message>
        <source>Conversation</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Transfer</name>
    <message>
        <source>Import Conversations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Conversation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Export Chat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Conversations</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Export All Chats</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{0} could not be written: {1}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That did not work</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>UndoBar</name>
    <message>
        <source>Undo</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Deleted “{0}”</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Welcome</name>
    <message>
        <source>Nothing leaves this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A small model trained for small talk. Nothing leaves this computer.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
