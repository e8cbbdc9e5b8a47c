"""Streams as servers and other clients send them, for the parser's tests."""

OPEN = (
    "<?xml version='1.0'?>\n<stream:stream from='localhost' id='x' version='1.0' xml:lang='en' "
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)

STANZAS = (
    "<message from='user_1@localhost/res1' to='user_2@localhost' type='chat' id='1'><body>hello</body></message>",
    # MongooseIM with MAM; RFC 6121
    "<message xml:lang='de' from='a@b/c'><body>grüß &lt;dich&gt; &amp; &quot;euch&apos;</body>"
    "<stanza-id xmlns='urn:xmpp:sid:0' by='a@b' id='B4I2'/></message>",
    "<presence/>",
    "<presence from='a@b/c'><show>away</show>\n  <status>line one\nline two&#10;three</status></presence>",
    # prefixes, declared on the spot and nested
    "<iq type='result' id='q'><p:query xmlns:p='urn:example:p' p:rank='1' rank='2'><p:item/><item xmlns=''/>"
    "</p:query></iq>",
    "<message><body><![CDATA[<not> & markup ]] > ]]></body></message>",
    "<message><body>\U0001f426 crow, &#x1f426; again, é</body></message>",
    "<iq from='localhost' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>",
    "<message attr=\"it's > 'quoted'\" other='say \"hi\"'/>",
    "<message>mixed <b>bold</b> text<i/> end</message>",
)

STREAM = (OPEN + "\n ".join(STANZAS) + "</stream:stream>").encode()
