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
        uint16(0) == 0x5A4D and filename matches /\.(pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|txt|zip)[ ._]*\.(exe|scr|com|pif|cpl)$/i
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
        description = "A web page that builds a file out of its own script and saves it (HTML smuggling)"
        author = "tapscan"
        reference = "https://attack.mitre.org/techniques/T1027/006/"
    strings:
        $save1 = "msSaveOrOpenBlob" ascii
        $save2 = /\.download\s*=/ ascii
        $blob = "new Blob(" ascii
        $decode = "atob(" ascii
        $long = /["'`][A-Za-z0-9+\/]{512}/ ascii
        $page = "<script" nocase ascii
    condition:
        $page and $blob and $decode and $long and any of ($save*)
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
