/*
    The rules that a fresh tapscan has: the test file, and some shapes that ordinary files do not have.
    Those tagged `suspicious` are heuristics: they raise a hand, they do not convict.
*/

rule EICAR_test_file
{
    meta:
        description = "The EICAR anti-malware test file"
        author = "tapscan"
        reference = "https://www.eicar.org/download-anti-malware-testfile/"
        score = 100
    strings:
        // "X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" as bytes, so that no scanner takes this file for it
        $head = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41 52 }
    condition:
        $head in (0..128)
}

rule Executable_with_document_name : suspicious
{
    meta:
        description = "A Windows program whose name pretends to be a document or picture"
        author = "tapscan"
    condition:
        uint16(0) == 0x5A4D
        and (filename matches /\.(pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|txt|zip)[ ._]*\.(exe|scr|com|pif|cpl)$/i
            or filename contains "\xE2\x80\xAE") // RIGHT-TO-LEFT OVERRIDE: gpj.exe is shown as exe.jpg
}

rule Executable_named_as_other_type : suspicious
{
    meta:
        description = "A Windows program with the file extension of something harmless"
        author = "tapscan"
    condition:
        uint16(0) == 0x5A4D and uint32(uint32(0x3C)) == 0x00004550
        and (extension == ".pdf" or extension == ".jpg" or extension == ".png" or extension == ".gif"
            or extension == ".txt" or extension == ".doc" or extension == ".css")
}

rule Encoded_PowerShell_command : suspicious
{
    meta:
        description = "A script that starts PowerShell with an encoded command"
        author = "tapscan"
    strings:
        $call = /powershell(\.exe)?["']?\s[^\r\n]{0,200}-(e|en|enc|enco|encod|encode|encoded|encodedc|encodedcommand)\s+["']?[A-Za-z0-9+\/]{60}/ nocase ascii wide
    condition:
        $call
}

rule Shortcut_that_starts_a_script_host : suspicious
{
    meta:
        description = "A Windows shortcut whose target is a script host"
        author = "tapscan"
    strings:
        $host1 = "powershell" nocase ascii wide
        $host2 = "mshta" nocase ascii wide
        $host3 = "wscript" nocase ascii wide
        $host4 = "cmd.exe /c" nocase ascii wide
    condition:
        uint32(0) == 0x0000004C and uint32(4) == 0x00021401 and any of them
}

rule Macro_that_runs_itself_and_a_shell : suspicious
{
    meta:
        description = "An Office document with a macro that starts by itself and calls a shell"
        author = "tapscan"
    strings:
        $auto1 = "AutoOpen" nocase ascii
        $auto2 = "Document_Open" nocase ascii
        $auto3 = "Workbook_Open" nocase ascii
        $auto4 = "Auto_Open" nocase ascii
        $call1 = "WScript.Shell" nocase ascii
        $call2 = "Shell.Application" nocase ascii
    condition:
        uint32(0) == 0xE011CFD0 and any of ($auto*) and any of ($call*)
}

rule Page_that_assembles_a_file : suspicious
{
    meta:
        description = "A web page that builds a program, archive or document out of its own script and saves it (HTML smuggling)"
        author = "tapscan"
        reference = "https://attack.mitre.org/techniques/T1027/006/"
    strings:
        $page = "<script" nocase ascii
        $blob = "new Blob(" ascii
        $decode = "atob(" ascii
        $save1 = "msSaveOrOpenBlob" ascii
        $save2 = ".download" ascii
        // how a program, zip, OLE document, rar, 7-zip and disk image begin in base64
        $inside1 = /["'`]TV(qQ|pQ|oA|pA)/ ascii
        $inside2 = /["'`]UEsDB/ ascii
        $inside3 = /["'`]0M8R4KGx/ ascii
        $inside4 = /["'`]UmFyIR/ ascii
        $inside5 = /["'`]N3q8r/ ascii
        $inside6 = /["'`]A{64}/ ascii
    condition:
        $page and $blob and $decode and any of ($save*) and any of ($inside*)
}

rule PHP_that_runs_what_it_is_sent
{
    meta:
        description = "PHP that executes a request parameter"
        author = "tapscan"
        score = 80
    strings:
        $run = /<\?(php)?[^?]{0,400}\b(eval|assert|system|passthru|shell_exec|exec|popen)\s*\(\s*(base64_decode\s*\(\s*)?@?\$_(GET|POST|REQUEST|COOKIE)\s*\[/ nocase ascii
    condition:
        $run
}

rule Shell_script_with_reverse_shell
{
    meta:
        description = "A script that ties a shell to a socket"
        author = "tapscan"
        score = 80
    strings:
        $dev = /bash\s+-i\s*[^\n]{0,40}\/dev\/tcp\/[0-9a-zA-Z.-]+\/[0-9]{1,5}/ ascii
        $nc = /\bn(c|cat)\b[^\n]{0,60}\s-(e|c)\s+["']?\/bin\/(ba|da|z)?sh/ ascii
    condition:
        filesize < 1MB and any of them
}

rule Java_archive_by_mail : suspicious
{
    meta:
        description = "A Java program in an e-mail"
        author = "tapscan"
    condition:
        protocol == "smtp" and filetype == "application/java-archive"
}

rule Mailed_script_with_document_name : suspicious
{
    meta:
        description = "A script or shortcut in an e-mail whose name pretends to be a document or picture"
        author = "tapscan"
    condition:
        protocol == "smtp"
        and filename matches /\.(pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|txt|zip)[ ._]*\.(jse?|vb[es]|ws[fh]|hta|bat|cmd|ps1|lnk)$/i
}

rule PowerShell_that_runs_a_download : suspicious
{
    meta:
        description = "A script that has PowerShell execute what it fetches"
        author = "tapscan"
        reference = "https://attack.mitre.org/techniques/T1059/001/"
    strings:
        $fetch1 = ".DownloadString(" nocase ascii wide
        $fetch2 = ".DownloadFile(" nocase ascii wide
        $run1 = "Invoke-Expression" nocase ascii wide
        $run2 = "iex(" nocase ascii wide
        $run3 = "iex (" nocase ascii wide
        $run4 = "| iex" nocase ascii wide
        $run5 = "|iex" nocase ascii wide
        $hide1 = "-w hidden" nocase ascii wide
        $hide2 = "-windowstyle hidden" nocase ascii wide
    condition:
        // pages that explain how software is installed show the same lines, but hide no window
        filesize < 1MB and any of ($fetch*)
        and (any of ($hide*) or (filetype != "text/html" and any of ($run*)))
}

rule Script_that_fetches_writes_and_starts : suspicious
{
    meta:
        description = "A Windows script that fetches a file, writes it and starts it"
        author = "tapscan"
    strings:
        $start = "WScript.Shell" nocase ascii wide
        $write = "ADODB.Stream" nocase ascii wide
        $fetch1 = "MSXML2.XMLHTTP" nocase ascii wide
        $fetch2 = "MSXML2.ServerXMLHTTP" nocase ascii wide
        $fetch3 = "WinHttp.WinHttpRequest" nocase ascii wide
    condition:
        filesize < 1MB and $start and $write and any of ($fetch*)
}

rule RTF_that_updates_its_object_by_itself : suspicious
{
    meta:
        description = "A rich text document that loads an embedded object as soon as it is opened"
        author = "tapscan"
        reference = "https://attack.mitre.org/techniques/T1203/"
    strings:
        $update = "\\objupdate" nocase ascii
        $data = "\\objdata" nocase ascii
    condition:
        uint32be(0) == 0x7B5C7274 and $update and $data
}

rule Document_with_remote_template : suspicious
{
    meta:
        description = "The settings of an Office document that fetch its template from elsewhere"
        author = "tapscan"
        reference = "https://attack.mitre.org/techniques/T1221/"
    strings:
        $kind = "/relationships/attachedTemplate" ascii
        $where = /Target\s*=\s*["'](https?:|file:|\\\\|mhtml:)/ nocase ascii
    condition:
        filesize < 100KB and $kind and $where
}

rule Notebook_with_a_script_inside : suspicious
{
    meta:
        description = "A OneNote section with an embedded script"
        author = "tapscan"
    strings:
        $embedded = { E7 16 E3 BD 65 26 11 45 A4 C4 8D 4D 0B 7A 9E AC } // FileDataStoreObject: [MS-ONESTORE] 2.6.13
        $script1 = "<script" nocase ascii wide
        $script2 = "WScript." nocase ascii wide
        $script3 = "powershell" nocase ascii wide
    condition:
        uint32be(0) == 0xE4525C7B and uint32be(4) == 0x8CD8A74D and $embedded and any of ($script*)
}

rule Server_page_that_runs_what_it_is_sent
{
    meta:
        description = "ASP or JSP that executes a request parameter"
        author = "tapscan"
        score = 80
    strings:
        $asp = /<%[^%]{0,200}\b(eval|execute|executeglobal)\s*\(?\s*request\s*[\[(.]/ nocase ascii
        $jsp = /getRuntime\(\)\.exec\(\s*request\.getParameter\(/ ascii
    condition:
        filesize < 1MB and any of them
}

rule Program_with_reverse_shell : suspicious
{
    meta:
        description = "A Linux program that holds the command line of a reverse shell"
        author = "tapscan"
    strings:
        $dev = /(sh|bash) -i\s*[^\n\0]{0,20}\/dev\/tcp\/[0-9a-zA-Z.%-]+\// ascii
    condition:
        uint32(0) == 0x464C457F and $dev
}

rule Program_of_one_writable_segment : suspicious
{
    meta:
        description = "A tiny Linux program without sections whose only segment is writable and executable: a first stage"
        author = "tapscan"
    condition:
        uint32(0) == 0x464C457F and filesize < 8KB
        and (
            // Elf64_Ehdr: e_phoff, e_phnum, e_shnum; Elf64_Phdr: p_flags
            (uint8(4) == 2 and uint16(0x38) == 1 and uint16(0x3C) == 0 and uint32(uint32(0x20) + 4) == 7)
            // Elf32_Ehdr and Elf32_Phdr
            or (uint8(4) == 1 and uint16(0x2C) == 1 and uint16(0x30) == 0 and uint32(uint32(0x1C) + 24) == 7)
        )
}
