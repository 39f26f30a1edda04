<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US">
<context>
    <name></name>
    <message numerus="yes">
        <source>cut off after %Ln token(s)</source>
        <translation>
            <numerusform>cut off after %Ln token</numerusform>
            <numerusform>cut off after %Ln tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln token(s) of these</source>
        <translation>
            <numerusform>%Ln token of these</numerusform>
            <numerusform>%Ln tokens of these</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{0}, window of %Ln token(s)</source>
        <translation>
            <numerusform>{0}, window of %Ln token</numerusform>
            <numerusform>{0}, window of %Ln tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln token(s) read back from disk</source>
        <translation>
            <numerusform>%Ln token read back from disk</numerusform>
            <numerusform>%Ln tokens read back from disk</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{0} of %Ln drafted token(s) right, {1} tokens a pass</source>
        <translation>
            <numerusform>{0} of %Ln drafted token right, {1} tokens a pass</numerusform>
            <numerusform>{0} of %Ln drafted tokens right, {1} tokens a pass</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{0} of %Ln drafted token(s) right ({1})</source>
        <translation>
            <numerusform>{0} of %Ln drafted token right ({1})</numerusform>
            <numerusform>{0} of %Ln drafted tokens right ({1})</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The file of your chats was damaged. %Ln of them could be read and are here; the damaged file is kept as {0}.</source>
        <translation>
            <numerusform>The file of your conversations was damaged. %Ln of them could be read and is here; the damaged file is kept as {0}.</numerusform>
            <numerusform>The file of your conversations was damaged. %Ln of them could be read and are here; the damaged file is kept as {0}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln layer(s)</source>
        <translation>
            <numerusform>%Ln layer</numerusform>
            <numerusform>%Ln layers</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>about %Ln token(s)</source>
        <translation>
            <numerusform>about %Ln token</numerusform>
            <numerusform>about %Ln tokens</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ConversationCommands</name>
    <message numerus="yes">
        <source>%Ln chat(s) imported</source>
        <translation>
            <numerusform>%Ln chat imported</numerusform>
            <numerusform>%Ln chats imported</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ConversationsModel</name>
    <message numerus="yes">
        <source>%Ln chat(s)</source>
        <translation>
            <numerusform>%Ln chat</numerusform>
            <numerusform>%Ln chats</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>LibraryWindow</name>
    <message numerus="yes">
        <source>%Ln model(s) added</source>
        <translation>
            <numerusform>%Ln model added</numerusform>
            <numerusform>%Ln models added</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>MemoryPane</name>
    <message numerus="yes">
        <source>%Ln token(s)</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
</context>
</TS>
