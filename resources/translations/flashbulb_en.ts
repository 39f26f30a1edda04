<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US">
<context>
    <name></name>
    <message numerus="yes">
        <source>cut off after %n token(s)</source>
        <translation>
            <numerusform>cut off after %n token</numerusform>
            <numerusform>cut off after %n tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n token(s) of these</source>
        <translation>
            <numerusform>%n token of these</numerusform>
            <numerusform>%n tokens of these</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{0}, window of %n token(s)</source>
        <translation>
            <numerusform>{0}, window of %n token</numerusform>
            <numerusform>{0}, window of %n tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The file of your chats was damaged. %n of them could be read and are here; the damaged file is kept as {0}.</source>
        <translation>
            <numerusform>The file of your conversations was damaged. %n of them could be read and is here; the damaged file is kept as {0}.</numerusform>
            <numerusform>The file of your conversations was damaged. %n of them could be read and are here; the damaged file is kept as {0}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n layer(s)</source>
        <translation>
            <numerusform>%n layer</numerusform>
            <numerusform>%n layers</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>about %n token(s)</source>
        <translation>
            <numerusform>about %n token</numerusform>
            <numerusform>about %n tokens</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ConversationsModel</name>
    <message numerus="yes">
        <source>%n chat(s)</source>
        <translation>
            <numerusform>%n chat</numerusform>
            <numerusform>%n chats</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>LibraryWindow</name>
    <message numerus="yes">
        <source>%n model(s) added</source>
        <translation>
            <numerusform>%n model added</numerusform>
            <numerusform>%n models added</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>MemoryPane</name>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation>
            <numerusform>%n token</numerusform>
            <numerusform>%n tokens</numerusform>
        </translation>
    </message>
</context>
</TS>
